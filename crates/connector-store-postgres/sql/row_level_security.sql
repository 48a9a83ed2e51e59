-- Row-level security by tenant. The store's own role accesses all rows. Other roles access only rows of
-- the tenant in the setting `connectors.tenant`; without the setting, they see no rows. The owner of the
-- tables is not restricted. A session can change the setting, so a role that can run SET chooses its tenant.
DO $security$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['connections', 'work', 'quarantine', 'revocations', 'states',
        'deliveries', 'audit', 'subscriptions', 'endings', 'endpoints', 'messages']
    LOOP
        EXECUTE format('ALTER TABLE @schema.%I ENABLE ROW LEVEL SECURITY', target);
        EXECUTE format('DROP POLICY IF EXISTS connectors_store ON @schema.%I', target);
        EXECUTE format('CREATE POLICY connectors_store ON @schema.%I TO @role '
            'USING (true) WITH CHECK (true)', target);
        EXECUTE format('DROP POLICY IF EXISTS connectors_tenant ON @schema.%I', target);
        EXECUTE format('CREATE POLICY connectors_tenant ON @schema.%I '
            'USING (tenant = current_setting(''connectors.tenant'', true))', target);
    END LOOP;
    -- These tables have no column for the tenant.
    FOREACH target IN ARRAY ARRAY['outbound', 'attempts', 'locks', 'removals']
    LOOP
        EXECUTE format('ALTER TABLE @schema.%I ENABLE ROW LEVEL SECURITY', target);
        EXECUTE format('DROP POLICY IF EXISTS connectors_store ON @schema.%I', target);
        EXECUTE format('CREATE POLICY connectors_store ON @schema.%I TO @role '
            'USING (true) WITH CHECK (true)', target);
    END LOOP;
END
$security$;
