//! Reports 2021-06-30.

use std::collections::BTreeMap;

use super::{Time, model, texts};
use crate::documents::Compression;
use crate::flows::ProcessingStatus;

texts! {
    /// The interval of a report schedule (ISO 8601).
    SchedulePeriod {
        /// Five minutes.
        FiveMinutes = "PT5M",
        /// 15 minutes.
        FifteenMinutes = "PT15M",
        /// 30 minutes.
        ThirtyMinutes = "PT30M",
        /// An hour.
        OneHour = "PT1H",
        /// Two hours.
        TwoHours = "PT2H",
        /// Four hours.
        FourHours = "PT4H",
        /// Eight hours.
        EightHours = "PT8H",
        /// Twelve hours.
        TwelveHours = "PT12H",
        /// A day.
        OneDay = "P1D",
        /// Two days.
        TwoDays = "P2D",
        /// Three days.
        ThreeDays = "P3D",
        /// 84 hours.
        EightyFourHours = "PT84H",
        /// A week.
        OneWeek = "P7D",
        /// Two weeks.
        TwoWeeks = "P14D",
        /// 15 days.
        FifteenDays = "P15D",
        /// 18 days.
        EighteenDays = "P18D",
        /// 30 days.
        ThirtyDays = "P30D",
        /// A month.
        OneMonth = "P1M",
    }
}

model! {
    /// A report to create.
    ReportSpecification {
        /// The report type, for example `GET_MERCHANT_LISTINGS_ALL_DATA`.
        report_type: String,
        /// The marketplace ids (1 to 25).
        marketplace_ids: Vec<String>,
        /// The start of the data (RFC 3339). The default depends on the report type.
        data_start_time: Option<String>,
        /// The end of the data (RFC 3339).
        data_end_time: Option<String>,
        /// Options, which depend on the report type.
        report_options: BTreeMap<String, String>,
    }

    /// Request to create a schedule. It replaces a schedule of the same report type and
    /// marketplaces.
    ReportScheduleSpecification {
        /// The report type.
        report_type: String,
        /// The marketplaces, 1 to 25 ids.
        marketplace_ids: Vec<String>,
        /// Options, which depend on the report type.
        report_options: BTreeMap<String, String>,
        /// The interval of the schedule.
        period: Option<SchedulePeriod>,
        /// The time of the next report (RFC 3339).
        next_report_creation_time: Option<String>,
    }

    /// The id of a created report.
    CreatedReport {
        /// The id, unique per seller.
        report_id: String,
    }

    /// A report.
    Report {
        /// The id, unique per seller.
        report_id: String,
        /// Its type.
        report_type: String,
        /// Its marketplaces.
        marketplace_ids: Vec<String>,
        /// The start of its data (RFC 3339).
        data_start_time: Option<String>,
        /// End of the time range that the data covers (RFC 3339).
        data_end_time: Option<String>,
        /// The id of the schedule that created the report.
        report_schedule_id: Option<String>,
        /// The time of creation (RFC 3339).
        created_time: Option<String>,
        /// Its status.
        processing_status: Option<ProcessingStatus>,
        /// The time at which processing started (RFC 3339).
        processing_start_time: Option<String>,
        /// The time at which processing ended (RFC 3339).
        processing_end_time: Option<String>,
        /// Its document.
        report_document_id: Option<String>,
    }

    /// A page of reports.
    ReportList {
        /// The reports.
        reports: Vec<Report>,
        /// The token of the next page.
        next_token: Option<String>,
    }

    /// A schedule of reports.
    ReportSchedule {
        /// The id, unique per seller.
        report_schedule_id: String,
        /// The report type.
        report_type: String,
        /// The marketplaces.
        marketplace_ids: Vec<String>,
        /// Options, which depend on the report type.
        report_options: BTreeMap<String, String>,
        /// The interval of the schedule.
        period: Option<SchedulePeriod>,
        /// The time of the next report (RFC 3339).
        next_report_creation_time: Option<String>,
    }

    /// A list of schedules.
    ReportScheduleList {
        /// The schedules.
        report_schedules: Vec<ReportSchedule>,
    }

    /// The id of a created schedule.
    CreatedReportSchedule {
        /// Its id.
        report_schedule_id: String,
    }

    /// A report document in JSON, with its specification. The data is in `other`.
    ///
    /// Amazon publishes the schemas of these reports. To decode the data, define your own type and
    /// read it with [`Document::json`](crate::documents::Document::json).
    JsonReport {
        /// The requested report.
        report_specification: Option<ReportSpecification>,
    }

    /// The download URL of a report's document.
    ReportDocument {
        /// Its id.
        report_document_id: String,
        /// The presigned download URL, valid for 5 minutes. Keep it secret: anyone who has it can
        /// read the document.
        url: String,
        /// The compression of the document; absent if it is not compressed.
        compression_algorithm: Option<Compression>,
    }
}

impl ReportSpecification {
    /// Creates a specification from a report type and marketplaces.
    #[must_use]
    pub fn new<S: Into<String>>(
        report_type: impl Into<String>,
        marketplace_ids: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            report_type: report_type.into(),
            marketplace_ids: marketplace_ids.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Sets the start of the data.
    #[must_use]
    pub fn with_start(mut self, start: impl Into<Time>) -> Self {
        self.data_start_time = Some(start.into().to_string());
        self
    }

    /// Sets the end of the data.
    #[must_use]
    pub fn with_end(mut self, end: impl Into<Time>) -> Self {
        self.data_end_time = Some(end.into().to_string());
        self
    }

    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.report_options.insert(name.into(), value.into());
        self
    }

    /// Returns true if the report contains personal data, so that its document requires a
    /// restricted data token.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        is_restricted(&self.report_type)
    }
}

impl ReportScheduleSpecification {
    /// Creates a specification from a report type, marketplaces and an interval.
    #[must_use]
    pub fn new<S: Into<String>>(
        report_type: impl Into<String>,
        marketplace_ids: impl IntoIterator<Item = S>,
        period: SchedulePeriod,
    ) -> Self {
        Self {
            report_type: report_type.into(),
            marketplace_ids: marketplace_ids.into_iter().map(Into::into).collect(),
            period: Some(period),
            ..Self::default()
        }
    }

    /// Sets the time of the first report.
    #[must_use]
    pub fn with_next_creation(mut self, time: impl Into<Time>) -> Self {
        self.next_report_creation_time = Some(time.into().to_string());
        self
    }

    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.report_options.insert(name.into(), value.into());
        self
    }
}

/// The report types whose documents require a restricted data token.
///
/// See [Amazon docs: Tokens API use case guide](https://developer-docs.amazon.com/sp-api/docs/tokens-api-use-case-guide).
pub const RESTRICTED_REPORT_TYPES: &[&str] = &[
    "GET_AMAZON_FULFILLED_SHIPMENTS_DATA_INVOICING",
    "GET_AMAZON_FULFILLED_SHIPMENTS_DATA_TAX",
    "GET_EASYSHIP_DOCUMENTS",
    "GET_FLAT_FILE_ACTIONABLE_ORDER_DATA_SHIPPING",
    "GET_FLAT_FILE_ORDERS_RECONCILIATION_DATA_INVOICING",
    "GET_FLAT_FILE_ORDERS_RECONCILIATION_DATA_SHIPPING",
    "GET_FLAT_FILE_ORDERS_RECONCILIATION_DATA_TAX",
    "GET_FLAT_FILE_ORDER_REPORT_DATA_INVOICING",
    "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING",
    "GET_FLAT_FILE_ORDER_REPORT_DATA_TAX",
    "GET_GST_MTR_B2B_CUSTOM",
    "GET_ORDER_REPORT_DATA_INVOICING",
    "GET_ORDER_REPORT_DATA_SHIPPING",
    "GET_ORDER_REPORT_DATA_TAX",
    "GET_VAT_TRANSACTION_DATA",
    "SC_VAT_TAX_REPORT",
];

pub(crate) fn is_restricted(report_type: &str) -> bool {
    RESTRICTED_REPORT_TYPES.contains(&report_type)
}
