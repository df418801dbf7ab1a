//! Long calls: the GIL released, Ctrl-C noticed within a tenth of a second, progress reported from the calling thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// How often signals are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Run `work` on a thread of its own. `tick` is called with the GIL from time to time, and once at the end; when it or a signal handler raises, the
/// work is cancelled, waited for, and the exception returned. After an interrupt `tick` is called once more all the same, for what had ended.
pub fn run<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool) -> T + Send,
    mut tick: impl FnMut(Python<'_>) -> PyResult<()> + Send,
) -> PyResult<T> {
    let cancel = AtomicBool::new(false);
    py.detach(|| {
        std::thread::scope(|scope| {
            let (finished, waiting) = channel();
            let worker = scope.spawn(|| {
                let result = work(&cancel);
                drop(finished);
                result
            });
            let mut failure = None;
            while waiting.recv_timeout(TICK) == Err::<(), _>(RecvTimeoutError::Timeout) {
                if failure.is_none()
                    && let Err(e) = Python::attach(|py| py.check_signals().and_then(|()| tick(py)))
                {
                    cancel.store(true, Ordering::Relaxed);
                    failure = Some(e);
                }
            }
            let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match failure {
                Some(e) => {
                    Python::attach(|py| {
                        if e.is_instance_of::<PyKeyboardInterrupt>(py) {
                            // The interrupt is what is told, whatever happens here.
                            let _ = tick(py);
                        }
                    });
                    Err(e)
                }
                None => Python::attach(tick).map(|()| result),
            }
        })
    })
}
