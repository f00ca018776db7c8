// Package wire holds the Protocol Buffers (proto3) messages of Netflux and
// Sigver: plain structs, their encoders and their decoders. It uses no
// reflection and no generated code; the schema for other languages is
// testdata/vectors/proto.
//
// Each encoded message travels alone: one message per WebSocket binary message
// or data channel message (WIR-1). So Decode takes the whole of its input for
// one message, and the end of the input is the end of the message.
//
// A oneof is a Kind field plus the payload of each member: only the payload
// that Kind names counts, the others are ignored by Append and zero after
// Decode. The zero Kind says that no member is set.
//
// Every top-level message has two methods:
//
//   - Append appends the canonical encoding (WIR-14) to a buffer, and
//     allocates only when that buffer must grow. Its result can exceed
//     MaxSize, which no decoder accepts: limit what goes into a message.
//   - Decode replaces the message by the one encoded in its argument. Bytes
//     fields of the result alias the argument: they are valid as long as it is
//     left unchanged. Memory is allocated in proportion to the length of the
//     input, never to a number found in it (WIR-13). A field that is written
//     with its default value is as good as one left out (WIR-2). After an error the
//     content of the message is unspecified. All errors are a *DecodeError.
//
// A message may be read by several goroutines at once, but not while Decode
// writes it.
package wire

// MaxSize is the length in bytes of the longest encoded message that a decoder
// accepts; a longer one is refused with ErrOversized (WIR-12).
const MaxSize = 1 << 20

// The service ids of Netflux: who the content of a Message is for.
const (
	ServiceHeartbeat          uint32 = 0     // channel heartbeat, without content
	ServiceChannelBuilder     uint32 = 74    // content is a ChannelBuilder
	ServiceUserMessage        uint32 = 743   // content is a UserMessage
	ServiceDataChannelBuilder uint32 = 7431  // content is a DataChannelBuilder
	ServiceFullMesh           uint32 = 74315 // content is a FullMesh
)
