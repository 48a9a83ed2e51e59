//! The parts of Orders v0 that have no successor.

use super::{ApiError, model, texts};

model! {
    /// An update shipment status body.
    UpdateShipmentStatusBody {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The shipment status.
        shipment_status: Option<ShipmentStatus>,
        /// The items of the order.
        order_items: Vec<OrderItem>,
    }

    /// An order item.
    OrderItem {
        /// The id of the order item.
        order_item_id: Option<String>,
        /// The number of units.
        quantity: Option<i64>,
    }

    /// A regulated info answer.
    RegulatedInfoAnswer {
        /// The data.
        payload: Option<OrderRegulatedInfo>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// An order regulated info.
    OrderRegulatedInfo ["PascalCase"] {
        /// The amazon order id.
        amazon_order_id: Option<String>,
        /// The regulated information.
        regulated_information: Option<RegulatedInformation>,
        /// The flag `RequiresDosageLabel`.
        requires_dosage_label: Option<bool>,
        /// The regulated order verification status.
        regulated_order_verification_status: Option<RegulatedOrderVerificationStatus>,
    }

    /// A regulated information.
    RegulatedInformation ["PascalCase"] {
        /// The fields.
        fields: Vec<RegulatedInformationField>,
    }

    /// A regulated information field.
    RegulatedInformationField ["PascalCase"] {
        /// The field id.
        field_id: Option<String>,
        /// The field label.
        field_label: Option<String>,
        /// The field type.
        field_type: Option<FieldType>,
        /// The field value.
        field_value: Option<String>,
    }

    /// Regulated order verification status.
    RegulatedOrderVerificationStatus ["PascalCase"] {
        /// The status.
        status: Option<VerificationStatus>,
        /// The flag `RequiresMerchantAction`.
        requires_merchant_action: Option<bool>,
        /// The valid rejection reasons.
        valid_rejection_reasons: Vec<RejectionReason>,
        /// The rejection reason.
        rejection_reason: Option<RejectionReason>,
        /// The review date.
        review_date: Option<String>,
        /// The external reviewer id.
        external_reviewer_id: Option<String>,
        /// The valid verification details.
        valid_verification_details: Vec<ValidVerificationDetail>,
        /// The valid interim status codes.
        valid_interim_status_codes: Vec<ValidInterimStatusCode>,
    }

    /// A rejection reason.
    RejectionReason ["PascalCase"] {
        /// The rejection reason id.
        rejection_reason_id: Option<String>,
        /// The rejection reason description.
        rejection_reason_description: Option<String>,
    }

    /// A valid verification detail.
    ValidVerificationDetail ["PascalCase"] {
        /// The verification detail type.
        verification_detail_type: Option<String>,
        /// The valid verification statuses.
        valid_verification_statuses: Vec<VerificationStatus>,
    }

    /// A valid interim status code.
    ValidInterimStatusCode ["PascalCase"] {
        /// The status code.
        status_code: Option<String>,
        /// The status description.
        status_description: Option<String>,
    }

    /// An update verification status body.
    UpdateVerificationStatusBody {
        /// The regulated order verification status.
        regulated_order_verification_status: Option<VerificationUpdate>,
    }

    /// A verification update.
    VerificationUpdate {
        /// The status.
        status: Option<VerificationStatus>,
        /// The external reviewer id.
        external_reviewer_id: Option<String>,
        /// The rejection reason id.
        rejection_reason_id: Option<String>,
        /// The verification details.
        verification_details: Option<VerificationDetails>,
    }

    /// Verification details.
    VerificationDetails {
        /// The prescription detail.
        prescription_detail: Option<PrescriptionDetail>,
        /// The approved alternative details.
        approved_alternative_details: Vec<ApprovedAttribute>,
        /// The interim status detail.
        interim_status_detail: Option<InterimStatusDetail>,
    }

    /// A prescription detail.
    PrescriptionDetail {
        /// The prescription id.
        prescription_id: Option<String>,
        /// The expiration date.
        expiration_date: Option<String>,
        /// The written quantity.
        written_quantity: Option<i64>,
        /// The total refills authorized.
        total_refills_authorized: Option<i64>,
        /// The refills remaining.
        refills_remaining: Option<i64>,
        /// The clinic id.
        clinic_id: Option<String>,
        /// The usage instructions.
        usage_instructions: Option<String>,
    }

    /// An approved attribute.
    ApprovedAttribute {
        /// The attribute name.
        attribute_name: Option<String>,
        /// The original value.
        original_value: Option<String>,
        /// The approved value.
        approved_value: Option<String>,
    }

    /// An interim status detail.
    InterimStatusDetail {
        /// The HTTP status of the part.
        status_code: Option<String>,
        /// The status date time.
        status_date_time: Option<String>,
    }

    /// A confirm shipment body.
    ConfirmShipmentBody {
        /// The package detail.
        package_detail: Option<PackageDetail>,
        /// The cod collection method.
        cod_collection_method: Option<ConfirmShipmentBodyCodCollectionMethod>,
        /// The marketplace id.
        marketplace_id: Option<String>,
    }

    /// A package detail.
    PackageDetail {
        /// The number of the package, which the seller chooses.
        package_reference_id: Option<String>,
        /// The code of the carrier; `Other` needs a name.
        carrier_code: Option<String>,
        /// The name of a carrier without a code.
        carrier_name: Option<String>,
        /// The shipping method.
        shipping_method: Option<String>,
        /// The tracking number.
        tracking_number: Option<String>,
        /// The time of shipping (ISO 8601).
        ship_date: Option<String>,
        /// The ship from supply source id.
        ship_from_supply_source_id: Option<String>,
        /// The items of the order.
        order_items: Vec<ConfirmShipmentOrderItem>,
    }

    /// A confirm shipment order item.
    ConfirmShipmentOrderItem {
        /// The id of the order item.
        order_item_id: Option<String>,
        /// The number of units.
        quantity: Option<i64>,
        /// The transparency codes.
        transparency_codes: Vec<String>,
    }
}

texts! {
    /// Values of shipment status.
    ShipmentStatus {
        ReadyForPickup = "ReadyForPickup",
        PickedUp = "PickedUp",
        RefusedPickup = "RefusedPickup",
    }

    /// Values of field type.
    FieldType {
        Text = "Text",
        FileAttachment = "FileAttachment",
    }

    /// Values of verification status.
    VerificationStatus {
        Pending = "Pending",
        Approved = "Approved",
        Rejected = "Rejected",
        Expired = "Expired",
        Cancelled = "Cancelled",
    }

    /// Values of confirm shipment body cod collection method.
    ConfirmShipmentBodyCodCollectionMethod {
        DirectPayment = "DirectPayment",
    }
}
