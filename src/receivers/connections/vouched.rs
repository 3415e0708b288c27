//! Who vouched for the peers of connections.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::tls::Authorities;

/// Who vouched for the peers that have come so far.
#[derive(Debug, Default)]
pub(super) struct Vouched(Mutex<By>);

#[derive(Debug, Default)]
enum By {
    /// None has come.
    #[default]
    Nobody,
    /// The same for all.
    These(Authorities),
    /// Some for these, others for those: the files have changed meanwhile.
    Several,
}

impl Vouched {
    /// Peers come for whom these vouch.
    pub(super) fn come_by(&self, authorities: &Authorities) {
        let mut by = self.by();
        match &*by {
            By::Nobody => *by = By::These(authorities.clone()),
            By::These(before) if before == authorities => {}
            By::These(_) | By::Several => *by = By::Several,
        }
    }

    /// Whether nobody else vouched for any.
    pub(super) fn only_by(&self, authorities: &Authorities) -> bool {
        match &*self.by() {
            By::Nobody => true,
            By::These(before) => before == authorities,
            By::Several => false,
        }
    }

    fn by(&self) -> MutexGuard<'_, By> {
        // It is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
