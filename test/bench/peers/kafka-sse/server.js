'use strict';
// A KafkaSSE server as its README shows one: node server.js PORT BROKER.
// Its logger says nothing below errors: at its default it writes several lines
// for each event, which would be most of what it does.
const http = require('http');
const bunyan = require('bunyan');
const kafkaSse = require('kafka-sse');

const [port, broker] = process.argv.slice(2);
const logger = bunyan.createLogger({ name: 'kafka-sse', level: 'error' });

http.createServer((req, res) => {
  const topics = decodeURIComponent(req.url.slice(1)).split(',');
  kafkaSse(req, res, topics, { kafkaConfig: { 'metadata.broker.list': broker }, logger });
}).listen(Number(port), '127.0.0.1');
