-- Number of reads that found changes since the last notification, without a notification in between.
ALTER TABLE subscriptions ADD COLUMN silent_reads INTEGER NOT NULL DEFAULT 0
    CHECK (silent_reads >= 0);
