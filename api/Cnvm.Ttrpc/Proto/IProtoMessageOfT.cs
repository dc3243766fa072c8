namespace Cnvm.Ttrpc;

/// <summary>
/// A message of protocol buffers, version 3. Records get its methods from the generator when they are <c>partial</c> and marked with
/// <see cref="ProtoMessageAttribute"/>. Messages do not change once made, so threads may share them.
/// </summary>
public interface IProtoMessage<TSelf> : IProtoMessage
    where TSelf : IProtoMessage<TSelf>
{
    /// <summary>
    /// The message that <paramref name="bytes"/> are, which may be reused afterwards. Unknown fields are skipped; of a field that comes twice
    /// the last one counts.
    /// </summary>
    /// <exception cref="ProtoException">The bytes are no such message.</exception>
    static abstract TSelf Read(ReadOnlySpan<byte> bytes);
}
