/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Not every receiver listens yet.
    #[default]
    Starting,
    /// Requests are taken.
    Running,
    /// No new ones are taken.
    Stopping,
}

impl Phase {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}
