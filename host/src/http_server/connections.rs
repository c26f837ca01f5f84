//! The open connections: a bounded number, and when all places are taken, the connection
//! that has waited longest for a request makes room. So nobody keeps others out by sending
//! half of one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

#[derive(Clone)]
pub struct Connections {
    places: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
}

/// By when they began to wait, the longest first.
#[derive(Default)]
struct Waiting {
    next: u64,
    line: BTreeMap<u64, Arc<Notify>>,
}

/// One connection's place, given back when dropped.
pub struct Place {
    connections: Connections,
    number: Mutex<Option<u64>>,
    makes_room: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            waiting: Arc::default(),
        }
    }

    /// A place for a connection, which begins to wait for its request.
    pub async fn admit(&self) -> Option<Arc<Place>> {
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                if let Some((_, longest)) = self.waiting().line.pop_first() {
                    longest.notify_one();
                }
                // Closed it never is.
                self.places.clone().acquire_owned().await.ok()?
            }
        };
        let place = Arc::new(Place {
            connections: self.clone(),
            number: Mutex::default(),
            makes_room: Arc::default(),
            _permit: permit,
        });
        place.waits();
        Some(place)
    }

    /// Returns when every place is back.
    pub async fn all_ended(&self, places: u32) {
        let _ = self.places.acquire_many(places).await;
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Its request is there: it makes room for nobody.
    pub fn works(&self) {
        if let Some(number) = self.number().take() {
            self.connections.waiting().line.remove(&number);
        }
    }

    /// It waits for a request, the first or the next.
    pub fn waits(&self) {
        let mut waiting = self.connections.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.line.insert(number, self.makes_room.clone());
        drop(waiting);
        *self.number() = Some(number);
    }

    /// Returns after that time if its request is not there by then, and otherwise never.
    pub async fn still_waits_after(&self, time: Duration) {
        tokio::time::sleep(time).await;
        if self.number().is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when it is to end.
    pub async fn makes_room(&self) {
        self.makes_room.notified().await;
    }

    fn number(&self) -> std::sync::MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.works();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Whether it is ready at once: nothing here needs a timer.
    fn ready<T>(future: impl Future<Output = T>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(pin!(future).poll(&mut context), Poll::Ready(_))
    }

    fn admitted(connections: &Connections) -> Arc<Place> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(connections.admit()).poll(&mut context) {
            Poll::Ready(Some(place)) => place,
            _ => panic!("no place"),
        }
    }

    #[test]
    fn who_has_waited_longest_makes_room() {
        let connections = Connections::new(3);
        let [first, second, third] = [(); 3].map(|()| admitted(&connections));
        first.works();
        first.waits();
        assert!(!ready(connections.admit()), "its place is not free yet");
        assert!(ready(second.makes_room()), "it has waited longest");
        assert!(!ready(first.makes_room()) && !ready(third.makes_room()));
        drop(second);
        assert!(ready(connections.admit()));
    }

    #[test]
    fn who_works_makes_no_room() {
        let connections = Connections::new(1);
        let place = admitted(&connections);
        place.works();
        assert!(!ready(connections.admit()));
        assert!(!ready(place.makes_room()));
    }

    #[test]
    fn a_place_that_is_given_back_leaves_nothing_behind() {
        let connections = Connections::new(1);
        drop(admitted(&connections));
        assert!(connections.waiting().line.is_empty());
        drop(admitted(&connections));
    }
}
