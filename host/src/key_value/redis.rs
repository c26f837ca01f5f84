//! Redis, as Spin uses it: a key is the guest's own, without the store's label.

use std::sync::Arc;
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::sync::Mutex;

use super::Failed;

/// A Redis that does not answer must not outlast a check's deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Redis {
    client: Client,
    /// One connection for all events: commands are sent without waiting for each other's answers.
    connection: Arc<Mutex<Option<MultiplexedConnection>>>,
}

impl Redis {
    /// Does not connect: a Redis that is down at start is a failed operation later, not a refusal.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        // The URL may hold a password: not in the message.
        let client = Client::open(url)
            .map_err(|e| anyhow::anyhow!("reading the Redis URL: {}", e.category()))?;
        Ok(Self {
            client,
            connection: Arc::default(),
        })
    }

    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        let mut connection = self.connection().await?;
        self.checked(connection.get(key).await).await
    }

    pub async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        let mut connection = self.connection().await?;
        self.checked(connection.set(key, value).await).await
    }

    pub async fn delete(&self, key: &str) -> Result<(), Failed> {
        let mut connection = self.connection().await?;
        self.checked(connection.del(key).await).await
    }

    pub async fn keys(&self) -> Result<Vec<String>, Failed> {
        let mut connection = self.connection().await?;
        self.checked(connection.keys("*").await).await
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Failed> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|e| format!("connecting to Redis: {e}"))?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// After a broken connection the next operation makes a new one. The failed one is not
    /// repeated: whether it was carried out is not known, and the guest decides what that means.
    async fn checked<T>(&self, result: redis::RedisResult<T>) -> Result<T, Failed> {
        if let Err(error) = &result
            && (error.is_io_error() || error.is_timeout() || error.is_connection_dropped())
        {
            *self.connection.lock().await = None;
        }
        result.map_err(|error| error.to_string())
    }
}
