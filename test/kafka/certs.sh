# Certificates for the TLS listeners, made once per state directory; sourced.
#
# ca           the authority that broker and clients trust
# broker       localhost and 127.0.0.1; broker.pem is key and chain for Kafka
# client       a client certificate, its key also encrypted (client.enc.key,
#              password client-key-secret)
# other-ca, other-client   an authority and a client that the broker does not know

authority() {
  openssl req -x509 -new -newkey rsa:2048 -nodes -keyout "$certs/$1.key" -out "$certs/$1.crt" -days 3650 -sha256 \
    -subj "/CN=sluice-test-$1" -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" 2>/dev/null
}

# leaf NAME SUBJECT AUTHORITY USAGE [ALTERNATIVE NAMES]
leaf() {
  openssl req -new -newkey rsa:2048 -nodes -keyout "$certs/$1.key" -out "$certs/$1.csr" -subj "/CN=$2" 2>/dev/null
  {
    echo "basicConstraints=critical,CA:FALSE"
    echo "keyUsage=critical,digitalSignature,keyEncipherment"
    echo "extendedKeyUsage=$4"
    if [ -n "${5:-}" ]; then echo "subjectAltName=$5"; fi
  } >"$certs/$1.ext"
  openssl x509 -req -in "$certs/$1.csr" -CA "$certs/$3.crt" -CAkey "$certs/$3.key" -set_serial "0x$(openssl rand -hex 12)" \
    -days 3650 -sha256 -extfile "$certs/$1.ext" -out "$certs/$1.crt" 2>/dev/null
  rm "$certs/$1.csr" "$certs/$1.ext"
}

make_certs() {
  if [ -e "$certs/broker.pem" ]; then return; fi
  mkdir -p "$certs"
  authority ca
  authority other-ca
  leaf broker localhost ca serverAuth "DNS:localhost,IP:127.0.0.1"
  leaf client test-client ca clientAuth
  leaf other-client rogue-client other-ca clientAuth
  openssl pkcs8 -topk8 -v2 aes-256-cbc -in "$certs/client.key" -out "$certs/client.enc.key" -passout pass:client-key-secret
  # Kafka wants its key as PKCS#8, followed by the chain. Last, so that this
  # file means that all is there.
  { openssl pkcs8 -topk8 -nocrypt -in "$certs/broker.key"; cat "$certs/broker.crt" "$certs/ca.crt"; } >"$certs/broker.pem"
}
