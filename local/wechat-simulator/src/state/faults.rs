//! The faults that are set.

use crate::control_error::ControlError;
use crate::state::fault::Fault;

/// At most one fault for each path and one for all others, so that there is never a choice between
/// two.
#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// Changes nothing when one of the new faults is invalid.
    pub(crate) fn replace(&mut self, faults: Vec<Fault>) -> Result<(), ControlError> {
        for (i, fault) in faults.iter().enumerate() {
            fault.validate()?;
            if faults.iter().take(i).any(|other| other.path == fault.path) {
                return Err(ControlError::invalid("one fault for each path"));
            }
        }
        self.0 = faults;
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn all(&self) -> Vec<Fault> {
        self.0.clone()
    }

    /// The fault for a call to this path: its own, or else the one for all others. Counts the call,
    /// and removes a fault after its last one.
    pub(crate) fn next_for(&mut self, path: &str) -> Option<Fault> {
        let own = self
            .0
            .iter()
            .position(|fault| fault.path.as_deref() == Some(path));
        let index = own.or_else(|| self.0.iter().position(|fault| fault.path.is_none()))?;
        let fault = self.0.get_mut(index)?;
        let applied = fault.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                self.0.remove(index);
            }
        }
        Some(applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_fault_of_the_path_comes_before_the_one_for_all_others() {
        let mut faults = Faults::default();
        let all = fault(r#"{"errcode":-1}"#);
        let own = fault(r#"{"path":"/cgi-bin/token","status":502}"#);
        faults.replace(vec![all.clone(), own.clone()]).unwrap();
        assert_eq!(faults.next_for("/cgi-bin/token"), Some(own));
        assert_eq!(faults.next_for("/sns/jscode2session"), Some(all));
    }

    #[test]
    fn a_fault_ends_after_the_given_number_of_calls() {
        let mut faults = Faults::default();
        faults
            .replace(vec![fault(r#"{"reset":true,"times":2}"#)])
            .unwrap();
        assert!(faults.next_for("/cgi-bin/token").is_some());
        assert!(faults.next_for("/cgi-bin/token").is_some());
        assert_eq!(faults.next_for("/cgi-bin/token"), None);
    }

    #[test]
    fn rejected_faults_leave_the_old_ones_in_place() {
        let mut faults = Faults::default();
        let good = fault(r#"{"errcode":-1}"#);
        faults.replace(vec![good.clone()]).unwrap();
        faults
            .replace(vec![good.clone(), good.clone()])
            .unwrap_err();
        faults.replace(vec![fault(r#"{"status":99}"#)]).unwrap_err();
        assert_eq!(faults.all(), [good]);
    }
}
