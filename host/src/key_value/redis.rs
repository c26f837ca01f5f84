//! Redis, as Spin uses it: a key is the guest's own, without the store's label.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::sync::Mutex;

use super::Failed;

/// A Redis that does not answer must not outlast a check's deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// After a connect that failed, operations fail at once for so long: those that waited for
/// it would otherwise try one after the other, each for the whole timeout.
const FAIL_FAST: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Redis {
    client: Client,
    /// One connection for all events: commands are sent without waiting for each other's
    /// answers. Locked while one of them connects, for all who wait.
    link: Arc<Mutex<Link>>,
    connect_timeout: Duration,
}

#[derive(Default)]
enum Link {
    #[default]
    None,
    Up(MultiplexedConnection),
    Failed {
        at: Instant,
        why: Failed,
    },
}

impl Redis {
    /// Does not connect: a Redis that is down at start is a failed operation later, not a refusal.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        // The URL may hold a password: not in the message.
        let client = Client::open(url)
            .map_err(|e| anyhow::anyhow!("reading the Redis URL: {}", e.category()))?;
        Ok(Self {
            client,
            link: Arc::default(),
            connect_timeout: CONNECT_TIMEOUT,
        })
    }

    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        let mut connection = self.connection().await?;
        self.checked(connection.get(key).await)
    }

    pub async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        let mut connection = self.connection().await?;
        self.checked(connection.set(key, value).await)
    }

    pub async fn delete(&self, key: &str) -> Result<(), Failed> {
        let mut connection = self.connection().await?;
        self.checked(connection.del(key).await)
    }

    pub async fn keys(&self) -> Result<Vec<String>, Failed> {
        let mut connection = self.connection().await?;
        self.checked(connection.keys("*").await)
    }

    /// Within one connect timeout from now, whoever connects and however many wait.
    async fn connection(&self) -> Result<MultiplexedConnection, Failed> {
        let until = Instant::now() + self.connect_timeout;
        let mut link = self.link.lock().await;
        match &*link {
            Link::Up(connection) => return Ok(connection.clone()),
            Link::Failed { at, why } if at.elapsed() < FAIL_FAST => return Err(why.clone()),
            Link::Failed { .. } | Link::None => {}
        }
        // What is left of our time: an event that was ended while it connected leaves us
        // without its answer.
        let time = until.saturating_duration_since(Instant::now());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(time))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        match connecting {
            Ok(connection) => {
                *link = Link::Up(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                let why = format!("connecting to Redis: {error}");
                *link = Link::Failed {
                    at: Instant::now(),
                    why: why.clone(),
                };
                Err(why)
            }
        }
    }

    /// After a broken connection the next operation makes a new one. The failed one is not
    /// repeated: whether it was carried out is not known, and the guest decides what that means.
    fn checked<T>(&self, result: redis::RedisResult<T>) -> Result<T, Failed> {
        if let Err(error) = &result
            && (error.is_io_error() || error.is_timeout() || error.is_connection_dropped())
            // Locked, another operation already makes a new one.
            && let Ok(mut link) = self.link.try_lock()
        {
            *link = Link::None;
        }
        result.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const OPERATIONS: usize = 8;

    #[tokio::test]
    async fn a_silent_redis_costs_those_who_wait_one_attempt_together() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("listens");
        let url = format!("redis://{}", silent.local_addr().expect("an address"));
        let redis = Redis {
            connect_timeout: Duration::from_millis(100),
            ..Redis::new(&url).expect("a URL")
        };
        let operations: Vec<_> = (0..OPERATIONS)
            .map(|_| {
                let redis = redis.clone();
                tokio::spawn(async move { redis.get("key").await })
            })
            .collect();
        for operation in operations {
            let failed = operation.await.expect("ends").expect_err("no answer");
            assert!(failed.starts_with("connecting to Redis: "), "{failed}");
        }
        silent.set_nonblocking(true).expect("asks");
        assert_eq!(silent.incoming().map_while(Result::ok).count(), 1);
    }
}
