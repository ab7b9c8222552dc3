//! A component that opens a network connection.

skeleton::component!({
    let connected = std::net::TcpStream::connect("192.0.2.1:80").is_ok();
    vec![operator(if connected { "online" } else { "offline" })]
});
