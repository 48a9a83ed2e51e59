//! Orders v0: operations that have no successor.

use super::{ApiError, model, texts};

model! {
    /// The body of `updateShipmentStatus`.
    UpdateShipmentStatusBody {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The shipment status to set.
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
    RegulatedInfoResponse {
        /// The data.
        payload: Option<OrderRegulatedInfo>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// The regulated information of an order.
    OrderRegulatedInfo ["PascalCase"] {
        /// The id of the order.
        amazon_order_id: Option<String>,
        /// The regulated information, collected during the purchase.
        regulated_information: Option<RegulatedInformation>,
        /// True if the order needs a dosage label.
        requires_dosage_label: Option<bool>,
        /// The regulated order verification status.
        regulated_order_verification_status: Option<RegulatedOrderVerificationStatus>,
    }

    /// The regulated information provided by the buyer.
    RegulatedInformation ["PascalCase"] {
        /// The fields of the regulatory form.
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
        /// The content of the field. For attachments, a download URL.
        field_value: Option<String>,
    }

    /// The state of an order's verification.
    RegulatedOrderVerificationStatus ["PascalCase"] {
        /// The status.
        status: Option<VerificationStatus>,
        /// True if the seller must act.
        requires_merchant_action: Option<bool>,
        /// Reasons that you may state when you reject the order.
        valid_rejection_reasons: Vec<RejectionReason>,
        /// The reason for the rejection; absent if the order is not rejected.
        rejection_reason: Option<RejectionReason>,
        /// The date of the review (ISO 8601).
        review_date: Option<String>,
        /// The id of the reviewer, assigned by the seller.
        external_reviewer_id: Option<String>,
        /// Details that you may provide with a verification.
        valid_verification_details: Vec<ValidVerificationDetail>,
        /// Interim status codes that you may set.
        valid_interim_status_codes: Vec<ValidInterimStatusCode>,
    }

    /// A rejection reason.
    RejectionReason ["PascalCase"] {
        /// The id of the rejection reason. Required only for a rejection.
        rejection_reason_id: Option<String>,
        /// The rejection reason description.
        rejection_reason_description: Option<String>,
    }

    /// A detail that a verification can contain.
    ValidVerificationDetail ["PascalCase"] {
        /// The verification detail type.
        verification_detail_type: Option<String>,
        /// Verification statuses with which this detail may be provided.
        valid_verification_statuses: Vec<VerificationStatus>,
    }

    /// An interim status that a verification can have.
    ValidInterimStatusCode ["PascalCase"] {
        /// The status code.
        status_code: Option<String>,
        /// The description of the status, shown to the buyer.
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
        /// The id of the rejection reason. Required only for a rejection.
        rejection_reason_id: Option<String>,
        /// The verification details.
        verification_details: Option<VerificationDetails>,
    }

    /// The details of a verification.
    VerificationDetails {
        /// The prescription detail.
        prescription_detail: Option<PrescriptionDetail>,
        /// Alternative product attributes that a veterinarian approved. Only for rejections.
        approved_alternative_details: Vec<ApprovedAttribute>,
        /// The interim status. Only while the verification is pending.
        interim_status_detail: Option<InterimStatusDetail>,
    }

    /// A prescription.
    PrescriptionDetail {
        /// The prescription id.
        prescription_id: Option<String>,
        /// The expiry of the prescription (ISO 8601).
        expiration_date: Option<String>,
        /// Number of units per fill.
        written_quantity: Option<i64>,
        /// Total number of refills in the prescription.
        total_refills_authorized: Option<i64>,
        /// Number of remaining refills.
        refills_remaining: Option<i64>,
        /// The id of the clinic that issued the prescription.
        clinic_id: Option<String>,
        /// The instructions of the prescription.
        usage_instructions: Option<String>,
    }

    /// An attribute whose approved value differs from the original value.
    ApprovedAttribute {
        /// The name of the attribute, for example `petWeight`.
        attribute_name: Option<String>,
        /// The value in the rejected order.
        original_value: Option<String>,
        /// The value with which the order would be approved.
        approved_value: Option<String>,
    }

    /// An interim status.
    InterimStatusDetail {
        /// The HTTP status code.
        status_code: Option<String>,
        /// The time at which the status was set (ISO 8601).
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
