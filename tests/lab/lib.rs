//! The lab: local servers that play every state of the monitored system.
