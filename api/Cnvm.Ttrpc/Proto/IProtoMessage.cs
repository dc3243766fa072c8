namespace Cnvm.Ttrpc;

/// <summary>
/// A message of protocol buffers, version 3. Records get both methods from the generator when they are <c>partial</c> and marked with
/// <see cref="ProtoMessageAttribute"/>. Messages do not change once made, so threads may share them.
/// </summary>
public interface IProtoMessage<TSelf>
    where TSelf : IProtoMessage<TSelf>
{
    /// <summary>Appends the fields of this message, without tag or length of the message itself. Fields that have their default value are left out.</summary>
    void Write(ProtoWriter writer);

    /// <summary>
    /// The message that <paramref name="bytes"/> are, which may be reused afterwards. Unknown fields are skipped; of a field that comes twice
    /// the last one counts.
    /// </summary>
    /// <exception cref="ProtoException">The bytes are no such message.</exception>
    static abstract TSelf Read(ReadOnlySpan<byte> bytes);
}
