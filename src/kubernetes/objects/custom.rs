//! Custom resources of other projects: the state that they report.

use serde::{Deserialize, Serialize};

use super::{Meta, null_is_default};

object! {
    /// A custom resource of another project: the state that it reports, and the frontend of a local redirect.
    Custom {
        /// Its metadata.
        metadata: Meta,
        /// What was wanted.
        spec: CustomSpec,
        /// The observed state.
        status: CustomStatus,
    }
}

object! {
    /// The fields of a CiliumLocalRedirectPolicy's specification that staledp uses; empty for other kinds.
    CustomSpec {
        /// Where the redirect begins.
        redirect_frontend: RedirectFrontend,
    }
}

object! {
    /// Where a local redirect begins: one of two.
    RedirectFrontend {
        /// At an address.
        address_matcher: AddressMatcher,
        /// At a service.
        service_matcher: ServiceMatcher,
    }
}

object! {
    /// An address that is redirected.
    AddressMatcher {
        /// The address.
        ip: String,
    }
}

object! {
    /// A service that is redirected.
    ServiceMatcher {
        /// Its name.
        service_name: String,
        /// Its namespace.
        namespace: String,
    }
}

object! {
    /// What an object says of itself.
    CustomStatus {
        /// Its conditions.
        conditions: Vec<Told>,
        /// The last synchronization of an Argo CD Application.
        operation_state: OperationState,
    }
}

object! {
    /// A condition with its words.
    Told {
        /// Its type.
        r#type: String,
        /// `True`, `False`, `Unknown`; Argo CD's have none.
        status: String,
        /// What it says.
        message: String,
        /// Since when, RFC 3339.
        last_transition_time: Option<String>,
    }
}

object! {
    /// The last synchronization of an Argo CD Application.
    OperationState {
        /// `Succeeded`, `Failed`, `Error`, `Running`.
        phase: String,
        /// What it says.
        message: String,
        /// When it ended, RFC 3339.
        finished_at: Option<String>,
    }
}
