//! Reports 2021-06-30.

use connector_core::Result;
use connector_core::api::Page;
use connector_core::http::limit::{Draw, Draws};

use serde_json::Value;

use super::{Arguments, SpApiOperation as _, draws, operation, wrong};
use crate::flows::ProcessingStatus;
use crate::limits::REPORT_TYPE;
use crate::models::report::{
    CreatedReport, CreatedReportSchedule, Report, ReportDocument, ReportList, ReportSchedule,
    ReportScheduleList, ReportScheduleSpecification, ReportSpecification,
};
use crate::models::{Time, page};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    GetReports::OPERATION,
    CreateReport::OPERATION,
    GetReport::OPERATION,
    CancelReport::OPERATION,
    GetReportSchedules::OPERATION,
    CreateReportSchedule::OPERATION,
    GetReportSchedule::OPERATION,
    CancelReportSchedule::OPERATION,
    GetReportDocument::OPERATION,
];

/// Maximum number of marketplaces of a report.
const MARKETPLACES: usize = 25;

/// Returns the limits that apply to a report: the usage plan of the operation, and the limit of the
/// report type, which other applications of the seller share.
fn of_type(operation: super::Operation, arguments: &Arguments) -> Draws {
    let report_type = arguments.value()["reportType"].as_str().unwrap_or_default();
    draws(operation.plan).with(Draw::new(REPORT_TYPE).with_key(report_type.to_owned()))
}

fn check(operation: &'static str, arguments: &Arguments) -> Result<()> {
    let body = arguments.value();
    if body["reportType"].as_str().unwrap_or_default().is_empty() {
        return Err(wrong(
            operation,
            "the report type is empty; set one of Amazon's report types",
        ));
    }
    let marketplaces = body["marketplaceIds"].as_array().map_or(0, Vec::len);
    if !(1..=MARKETPLACES).contains(&marketplaces) {
        return Err(wrong(
            operation,
            "a report needs 1 to 25 marketplaces; set them",
        ));
    }
    Ok(())
}

operation! {
    /// Lists the seller's reports of the last 90 days.
    ///
    /// See [Amazon docs: getReports](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-reference).
    GetReports -> Page<Report>, answer ReportList;
    "reports_2021-06-30" GET "/reports/2021-06-30/reports", Safe, 0.0222 / 10;
    new {}
    set {
        /// Includes only reports of these types, at most 10.
        with_report_types: [String] = "reportTypes",
        /// Includes only entries with these statuses.
        with_processing_statuses: [ProcessingStatus] = "processingStatuses",
        /// Includes only reports for these marketplaces, at most 10.
        with_marketplace_ids: [String] = "marketplaceIds",
        /// Sets the page size, 1 to 100. Default: 10.
        with_page_size: u32 = "pageSize",
        /// Includes only entries created at or after this time. Default: 90 days ago.
        with_created_since: Time = "createdSince",
        /// Includes only entries created at or before this time. Default: now.
        with_created_until: Time = "createdUntil",
    }
    decode: |answer, _response| Ok(page(answer.reports, answer.next_token));
    pages: Report, only "nextToken";
}

operation! {
    /// Creates a report. Each call creates another one.
    ///
    /// See [Amazon docs: createReport](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-reference).
    CreateReport -> CreatedReport;
    "reports_2021-06-30" POST "/reports/2021-06-30/reports", Never, 0.0167 / 15;
    new { specification: body ReportSpecification = "body" }
    check: |arguments| check("CreateReport", arguments);
    draws: |arguments| of_type(CreateReport::OPERATION, arguments);
}

operation! {
    /// Returns a report with its status.
    ///
    /// See [Amazon docs: getReport](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-reference).
    GetReport -> Report;
    "reports_2021-06-30" GET "/reports/2021-06-30/reports/{reportId}", Safe, 2.0 / 15;
    new { report_id: path String = "reportId" }
}

operation! {
    /// Cancels a report that is still queued.
    ///
    /// See [Amazon docs: cancelReport](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-reference).
    CancelReport -> (), answer Value;
    "reports_2021-06-30" DELETE "/reports/2021-06-30/reports/{reportId}", Safe, 0.0222 / 10;
    new { report_id: path String = "reportId" }
    decode: |_answer, _response| Ok(());
}

operation! {
    /// Lists the schedules of 1 to 10 report types.
    ///
    /// See [Amazon docs: getReportSchedules](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-reference).
    GetReportSchedules -> Vec<ReportSchedule>, answer ReportScheduleList;
    "reports_2021-06-30" GET "/reports/2021-06-30/schedules", Safe, 0.0222 / 10;
    new { report_types: query [String] = "reportTypes" }
    decode: |answer, _response| Ok(answer.report_schedules);
}

operation! {
    /// Creates a schedule. It replaces a schedule of the same report type and marketplaces.
    ///
    /// See [Amazon docs: createReportSchedule](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-reference).
    CreateReportSchedule -> CreatedReportSchedule;
    "reports_2021-06-30" POST "/reports/2021-06-30/schedules", Safe, 0.0222 / 10;
    new { specification: body ReportScheduleSpecification = "body" }
    check: |arguments| check("CreateReportSchedule", arguments);
}

operation! {
    /// Returns a schedule.
    ///
    /// See [Amazon docs: getReportSchedule](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-reference).
    GetReportSchedule -> ReportSchedule;
    "reports_2021-06-30" GET "/reports/2021-06-30/schedules/{reportScheduleId}", Safe, 0.0222 / 10;
    new { report_schedule_id: path String = "reportScheduleId" }
}

operation! {
    /// Deletes a schedule. A report that is already being processed is not cancelled.
    ///
    /// See [Amazon docs: cancelReportSchedule](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-reference).
    CancelReportSchedule -> (), answer Value;
    "reports_2021-06-30" DELETE "/reports/2021-06-30/schedules/{reportScheduleId}", Safe, 0.0222 / 10;
    new { report_schedule_id: path String = "reportScheduleId" }
    decode: |_answer, _response| Ok(());
}

operation! {
    /// Returns the download URL of a report's document, for
    /// [`Document::open`](crate::documents::Document::open).
    ///
    /// A report with personal data needs a restricted data token
    /// ([`RESTRICTED_REPORT_TYPES`](crate::models::report::RESTRICTED_REPORT_TYPES)).
    ///
    /// See [Amazon docs: getReportDocument](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-reference).
    GetReportDocument -> ReportDocument;
    "reports_2021-06-30" GET "/reports/2021-06-30/documents/{reportDocumentId}", Safe, 0.0167 / 15;
    new { report_document_id: path String = "reportDocumentId" }
}
