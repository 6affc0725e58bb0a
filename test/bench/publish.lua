-- wrk: one record of 200 bytes a request
wrk.method = "POST"
wrk.body = '{"id":1234567,"name":"A customer\'s name, not short","amount":1299.95,"currency":"EUR","paid":true,"items":[{"sku":"AB-1","n":2},{"sku":"CD-2","n":1}],"note":"what people write into such a field..."}'
wrk.headers["Content-Type"] = "application/json"

done = function(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("RESULT %.0f %.3f %.3f %d\n",
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
