namespace Cnvm.Ttrpc.Wire;

/// <summary>ttrpc's <c>Request</c>: service 1, method 2, payload 3, timeout_nano 4. Metadata (5) is not needed here and skipped.</summary>
internal readonly ref struct RequestEnvelope
{
    public string Service { get; private init; }

    public string Method { get; private init; }

    public ReadOnlySpan<byte> Payload { get; private init; }

    /// <summary>Nanoseconds; 0 or less for no limit.</summary>
    public long TimeoutNano { get; private init; }

    public static RequestEnvelope Read(ReadOnlySpan<byte> bytes)
    {
        var reader = new ProtoReader(bytes);
        string service = "", method = "";
        ReadOnlySpan<byte> payload = default;
        long timeout = 0;
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1: service = reader.ReadString(); break;
                case 2: method = reader.ReadString(); break;
                case 3: payload = reader.ReadBytes(); break;
                case 4: timeout = reader.ReadInt64(); break;
                default: reader.Skip(); break;
            }
        }
        return new RequestEnvelope { Service = service, Method = method, Payload = payload, TimeoutNano = timeout };
    }

    public static void Write<TRequest>(ProtoWriter writer, string service, string method, TRequest request, long timeoutNano)
        where TRequest : class, IProtoMessage<TRequest>
    {
        writer.WriteString(1, service);
        writer.WriteString(2, method);
        writer.WriteMessage(3, request);
        writer.WriteInt64(4, timeoutNano);
    }
}
