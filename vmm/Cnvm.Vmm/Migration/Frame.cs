using System.Buffers;

namespace Cnvm.Vmm.Migration;

/// <summary>A message as it came. The payload is valid until the next one is read.</summary>
internal readonly record struct Frame(FrameType Type, ushort Flags, ReadOnlySequence<byte> Payload);
