//! Pingora's side: the proxy service, the connection wrapper, answers.
