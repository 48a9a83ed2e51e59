//! The selections of the data types, shared by the documents.

/// Returns a fragment definition as a literal, with the fragments that it uses.
macro_rules! fragment {
    (Shop) => {
        " fragment Shop on Shop { id name email contactEmail myshopifyDomain primaryDomain { host } \
         plan { publicDisplayName partnerDevelopment shopifyPlus } currencyCode ianaTimezone \
         shopOwnerName updatedAt \
         resourceLimits { locationLimit maxProductOptions maxProductVariants redirectLimitReached } }"
    };
    (AppSubscription) => {
        " fragment AppSubscription on AppSubscription { \
         id name status test trialDays createdAt currentPeriodEnd }"
    };
    (Product) => {
        " fragment Product on Product { \
         id title handle status vendor productType tags totalInventory createdAt updatedAt }"
    };
    (ProductVariant) => {
        " fragment ProductVariant on ProductVariant { id product { id } inventoryItem { id } title \
         sku barcode price compareAtPrice inventoryQuantity position \
         selectedOptions { name value } updatedAt }"
    };
    (Media) => {
        " fragment Media on Media { id mediaContentType alt status preview { image { url } } }"
    };
    (File) => {
        " fragment File on File { id alt fileStatus createdAt }"
    };
    (Collection) => {
        " fragment Collection on Collection { id title handle descriptionHtml sortOrder updatedAt \
         productsCount { count precision } }"
    };
    (Order) => {
        " fragment Order on Order { id name email note tags test closed displayFinancialStatus \
         displayFulfillmentStatus currencyCode \
         currentTotalPriceSet { shopMoney { amount currencyCode } } \
         totalRefundedSet { shopMoney { amount currencyCode } } \
         customer { id } createdAt processedAt updatedAt cancelledAt }"
    };
    (LineItem) => {
        " fragment LineItem on LineItem { id title sku quantity currentQuantity \
         unfulfilledQuantity originalUnitPriceSet { shopMoney { amount currencyCode } } \
         variant { id } }"
    };
    (Address) => {
        " fragment Address on MailingAddress { name company address1 address2 zip city provinceCode \
         countryCodeV2 phone }"
    };
    (Refund) => {
        " fragment Refund on Refund { id note createdAt \
         totalRefundedSet { shopMoney { amount currencyCode } } \
         refundLineItems(first: 50) { nodes { lineItem { id } quantity } \
         pageInfo { hasNextPage endCursor } } }"
    };
    (DraftOrder) => {
        " fragment DraftOrder on DraftOrder { id name status email \
         totalPriceSet { shopMoney { amount currencyCode } } invoiceUrl order { id } \
         createdAt updatedAt }"
    };
    (DraftOrderItems) => {
        " fragment DraftOrderItems on DraftOrder { lineItems(first: 50) { nodes { title sku quantity \
         variant { id } originalUnitPriceSet { shopMoney { amount currencyCode } } } \
         pageInfo { hasNextPage endCursor } } }"
    };
    (Customer) => {
        " fragment Customer on Customer { id displayName firstName lastName \
         defaultEmailAddress { emailAddress } defaultPhoneNumber { phoneNumber } state tags note \
         numberOfOrders amountSpent { amount currencyCode } defaultAddress { ...Address } \
         createdAt updatedAt }"
    };
    (FulfillmentOrder) => {
        " fragment FulfillmentOrder on FulfillmentOrder { id orderId orderName status requestStatus \
         assignedLocation { location { id } } createdAt updatedAt \
         lineItems(first: 10) { nodes { id totalQuantity remainingQuantity sku productTitle \
         inventoryItemId } pageInfo { hasNextPage endCursor } } }"
    };
    (Fulfillment) => {
        " fragment Fulfillment on Fulfillment { id name status totalQuantity createdAt updatedAt \
         trackingInfo { company number url } }"
    };
    (Location) => {
        " fragment Location on Location { id name isActive isFulfillmentService shipsInventory \
         fulfillsOnlineOrders }"
    };
    (InventoryItem) => {
        " fragment InventoryItem on InventoryItem { id sku tracked requiresShipping updatedAt }"
    };
    (InventoryLevel) => {
        " fragment InventoryLevel on InventoryLevel { id location { id } isActive updatedAt \
         quantities(names: [\"available\", \"on_hand\", \"committed\", \"incoming\", \"reserved\"]) \
         { name quantity } }"
    };
    (InventoryAdjustment) => {
        " fragment InventoryAdjustment on InventoryAdjustmentGroup { id reason referenceDocumentUri \
         createdAt changes { name delta quantityAfterChange item { id } location { id } } }"
    };
    (Metafield) => {
        " fragment Metafield on Metafield { \
         id namespace key value type compareDigest updatedAt }"
    };
    (Metaobject) => {
        " fragment Metaobject on Metaobject { id type handle displayName updatedAt \
         fields { key value type } }"
    };
    (WebhookSubscription) => {
        " fragment WebhookSubscription on WebhookSubscription { \
         id topic uri format filter includeFields name }"
    };
    (BulkOperation) => {
        " fragment BulkOperation on BulkOperation { id status errorCode type createdAt completedAt \
         objectCount rootObjectCount fileSize url partialDataUrl }"
    };
}
pub(crate) use fragment;
