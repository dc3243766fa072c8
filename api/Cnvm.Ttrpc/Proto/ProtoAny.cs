namespace Cnvm.Ttrpc;

/// <summary><c>google.protobuf.Any</c>: a message of another type, with its name.</summary>
/// <param name="TypeUrl">The type's name, for containerd without a host before it (<c>containerd.events.TaskExit</c>).</param>
/// <param name="Value">The bytes of that message; for a few types, such as an OCI process, JSON.</param>
public sealed record ProtoAny(string TypeUrl, ReadOnlyMemory<byte> Value) : IProtoMessage<ProtoAny>
{
    /// <summary><paramref name="message"/> under <paramref name="typeUrl"/>.</summary>
    public static ProtoAny Of<TMessage>(string typeUrl, TMessage message)
        where TMessage : IProtoMessage<TMessage> => new(typeUrl, ProtoWriter.ToBytes(message));

    /// <inheritdoc/>
    public void Write(ProtoWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteString(1, TypeUrl);
        writer.WriteBytes(2, Value.Span);
    }

    /// <inheritdoc/>
    public static ProtoAny Read(ReadOnlySpan<byte> bytes)
    {
        var reader = new ProtoReader(bytes);
        string typeUrl = "";
        byte[] value = [];
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1: typeUrl = reader.ReadString(); break;
                case 2: value = reader.ReadBytes().ToArray(); break;
                default: reader.Skip(); break;
            }
        }
        return new ProtoAny(typeUrl, value);
    }
}
