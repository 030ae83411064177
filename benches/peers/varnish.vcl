# Varnish collapsing the polls of one URL. It cannot authorise: whoever asks gets the answer.
vcl 4.1;
backend electric {
  .host = "127.0.0.1";
  .port = "@ELECTRIC@";
  .first_byte_timeout = 70s;
  .between_bytes_timeout = 70s;
}
sub vcl_recv {
  if (req.method != "GET") { return (pass); }
  unset req.http.authorization;
  unset req.http.cookie;
  return (hash);
}
