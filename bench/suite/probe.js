// What a link carries between two TCP ends: the median round trip of 64 bytes, then half a second of bytes in both
// directions at once.
//   probe.js serve HOST          prints {"port"}
//   probe.js probe HOST PORT     prints {"goodput_mbit", "round_trip_us"}
'use strict';
const net = require('net');

const SECONDS = 0.5;
const chunk = Buffer.alloc(64 << 10);

// Sends until told to stop; what the socket cannot take waits.
function flood(socket) {
  let on = true;
  const more = () => { while (on && socket.write(chunk)); };
  socket.on('drain', more);
  more();
  return () => { on = false; };
}

if (process.argv[2] === 'serve') {
  const server = net.createServer({noDelay: true}, (socket) => {
    socket.on('error', () => socket.destroy());
    let pings = 0;
    socket.on('data', (data) => {
      // 100 pings, then whatever comes starts the flood.
      if (pings < 100) {
        ++pings;
        socket.write(data);
      } else if (pings++ === 100) {
        flood(socket);
      }
    });
  });
  server.listen(0, process.argv[3], () => console.log(JSON.stringify({port: server.address().port})));
} else {
  const socket = net.connect({host: process.argv[3], port: Number(process.argv[4]), noDelay: true});
  const trips = [];
  let start = 0n;
  let received = 0;
  let first = 0n;
  const ping = () => { start = process.hrtime.bigint(); socket.write(chunk.subarray(0, 64)); };
  socket.on('connect', ping);
  socket.on('error', (error) => { console.error(error.message); process.exit(1); });
  socket.on('data', (data) => {
    if (trips.length < 100) {
      trips.push(Number(process.hrtime.bigint() - start) / 1e3);
      if (trips.length < 100) return ping();
      flood(socket);
      return;
    }
    if (!first) {
      first = process.hrtime.bigint();  // after the slow start's first bytes
      return;
    }
    received += data.length;
    const seconds = Number(process.hrtime.bigint() - first) / 1e9;
    if (seconds < SECONDS) return;
    trips.sort((a, b) => a - b);
    console.log(JSON.stringify({goodput_mbit: received * 8 / seconds / 1e6, round_trip_us: trips[50]}));
    process.exit(0);
  });
}
