use connector_core::clock::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{CustomerId, Price, model, number, time};

connector_core::provider::open_enum! {
    /// The state of a customer's account with the shop.
    pub enum CustomerState {
        /// The customer declined the invitation.
        Declined = "DECLINED",
        /// The account is disabled.
        Disabled = "DISABLED",
        /// The account is enabled.
        Enabled = "ENABLED",
        /// The customer has not answered the invitation yet.
        Invited = "INVITED",
    } else
    /// A value that this version of the library does not know.
    Other
}

model! {
    private
    /// A customer. Without [approval for protected customer
    /// data](https://shopify.dev/docs/apps/launch/protected-customer-data), Shopify returns null for
    /// names, addresses, e-mail addresses and telephone numbers.
    Customer {
        /// The id of the customer.
        id: CustomerId,
        /// The name to show.
        display_name: String,
        /// The first name.
        first_name: Option<String>,
        /// The last name.
        last_name: Option<String>,
        /// The e-mail address.
        #[serde(default, rename = "defaultEmailAddress", deserialize_with = "email")]
        email: Option<String>,
        /// The telephone number.
        #[serde(default, rename = "defaultPhoneNumber", deserialize_with = "phone")]
        phone: Option<String>,
        /// The state of the customer's account.
        state: CustomerState,
        /// The shop's tags for the customer.
        tags: Vec<String>,
        /// The shop's note about the customer.
        note: Option<String>,
        /// Number of orders.
        #[serde(deserialize_with = "number")]
        number_of_orders: u64,
        /// The sum of all orders.
        amount_spent: Price,
        /// The default address.
        default_address: Option<Address>,
        /// The creation time.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    private
    /// A postal address.
    Address {
        /// The recipient.
        name: Option<String>,
        /// The company.
        company: Option<String>,
        /// The first line.
        address1: Option<String>,
        /// The second line.
        address2: Option<String>,
        /// The postal code.
        zip: Option<String>,
        /// The city.
        city: Option<String>,
        /// The code of the province or state.
        province_code: Option<String>,
        /// The country (ISO 3166-1 alpha-2).
        #[serde(rename = "countryCodeV2")]
        country_code: Option<String>,
        /// The telephone number.
        phone: Option<String>,
    }
}

fn email<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Email {
        email_address: String,
    }
    Ok(Option::<Email>::deserialize(deserializer)?.map(|it| it.email_address))
}

fn phone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Phone {
        phone_number: String,
    }
    Ok(Option::<Phone>::deserialize(deserializer)?.map(|it| it.phone_number))
}
