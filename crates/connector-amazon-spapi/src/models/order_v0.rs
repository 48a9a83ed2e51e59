//! Orders v0: operations that have no successor.

use super::{ApiError, model, texts};

model! {
    /// The body of `updateShipmentStatus`.
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

    /// The response of `getOrderRegulatedInfo`.
    RegulatedInfoAnswer {
        /// The data.
        payload: Option<OrderRegulatedInfo>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// The regulated information of an order.
    OrderRegulatedInfo ["PascalCase"] {
        /// The id of the order.
        amazon_order_id: Option<String>,
        /// The regulated information.
        regulated_information: Option<RegulatedInformation>,
        /// True if the order needs a dosage label.
        requires_dosage_label: Option<bool>,
        /// The regulated order verification status.
        regulated_order_verification_status: Option<RegulatedOrderVerificationStatus>,
    }

    /// The regulated information provided by the buyer.
    RegulatedInformation ["PascalCase"] {
        /// The fields.
        fields: Vec<RegulatedInformationField>,
    }

    /// A field of regulated information.
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

    /// The state of an order's verification.
    RegulatedOrderVerificationStatus ["PascalCase"] {
        /// The status.
        status: Option<VerificationStatus>,
        /// True if the seller must act.
        requires_merchant_action: Option<bool>,
        /// The valid rejection reasons.
        valid_rejection_reasons: Vec<RejectionReason>,
        /// The rejection reason.
        rejection_reason: Option<RejectionReason>,
        /// The review date.
        review_date: Option<String>,
        /// The id of the reviewer, assigned by the seller.
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

    /// A detail that a verification can contain.
    ValidVerificationDetail ["PascalCase"] {
        /// The verification detail type.
        verification_detail_type: Option<String>,
        /// The valid verification statuses.
        valid_verification_statuses: Vec<VerificationStatus>,
    }

    /// An interim status that a verification can have.
    ValidInterimStatusCode ["PascalCase"] {
        /// The status code.
        status_code: Option<String>,
        /// The status description.
        status_description: Option<String>,
    }

    /// The body of `updateVerificationStatus`.
    UpdateVerificationStatusBody {
        /// The regulated order verification status.
        regulated_order_verification_status: Option<VerificationUpdate>,
    }

    /// A change to the verification of an order.
    VerificationUpdate {
        /// The status.
        status: Option<VerificationStatus>,
        /// The id of the reviewer, assigned by the seller.
        external_reviewer_id: Option<String>,
        /// The rejection reason id.
        rejection_reason_id: Option<String>,
        /// The verification details.
        verification_details: Option<VerificationDetails>,
    }

    /// The details of a verification.
    VerificationDetails {
        /// The prescription detail.
        prescription_detail: Option<PrescriptionDetail>,
        /// The approved alternative details.
        approved_alternative_details: Vec<ApprovedAttribute>,
        /// The interim status detail.
        interim_status_detail: Option<InterimStatusDetail>,
    }

    /// A prescription.
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

    /// An attribute whose approved value differs from the original value.
    ApprovedAttribute {
        /// The attribute name.
        attribute_name: Option<String>,
        /// The original value.
        original_value: Option<String>,
        /// The approved value.
        approved_value: Option<String>,
    }

    /// An interim status.
    InterimStatusDetail {
        /// The HTTP status code.
        status_code: Option<String>,
        /// The status date time.
        status_date_time: Option<String>,
    }

    /// The body of `confirmShipment`.
    ConfirmShipmentBody {
        /// The package detail.
        package_detail: Option<PackageDetail>,
        /// The collection method for cash on delivery (Japan only).
        cod_collection_method: Option<CodCollectionMethod>,
        /// The marketplace id.
        marketplace_id: Option<String>,
    }

    /// A package that was shipped.
    PackageDetail {
        /// The reference number of the package, assigned by the seller.
        package_reference_id: Option<String>,
        /// The carrier code. For `Other`, also set the carrier name.
        carrier_code: Option<String>,
        /// The name of the carrier, if it has no code.
        carrier_name: Option<String>,
        /// The shipping method.
        shipping_method: Option<String>,
        /// The tracking number.
        tracking_number: Option<String>,
        /// The time of shipping (ISO 8601).
        ship_date: Option<String>,
        /// The id of the supply source from which the package ships.
        ship_from_supply_source_id: Option<String>,
        /// The items of the order.
        order_items: Vec<ConfirmShipmentOrderItem>,
    }

    /// An item in a package that was shipped.
    ConfirmShipmentOrderItem {
        /// The id of the order item.
        order_item_id: Option<String>,
        /// The number of units.
        quantity: Option<i64>,
        /// Transparency codes, which prove that units are genuine.
        transparency_codes: Vec<String>,
    }
}

texts! {
    /// The status of a shipment.
    ShipmentStatus {
        ReadyForPickup = "ReadyForPickup",
        PickedUp = "PickedUp",
        RefusedPickup = "RefusedPickup",
    }

    /// The type of a field.
    FieldType {
        Text = "Text",
        FileAttachment = "FileAttachment",
    }

    /// The status of a verification.
    VerificationStatus {
        Pending = "Pending",
        Approved = "Approved",
        Rejected = "Rejected",
        Expired = "Expired",
        Cancelled = "Cancelled",
    }

    /// The collection method for cash on delivery.
    CodCollectionMethod {
        DirectPayment = "DirectPayment",
    }
}
