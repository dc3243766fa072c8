namespace Cnvm.Ttrpc.Wire;

/// <summary>ttrpc's <c>Response</c>: status 1, payload 2.</summary>
internal readonly ref struct ResponseEnvelope
{
    public RpcStatus? Status { get; private init; }

    public ReadOnlySpan<byte> Payload { get; private init; }

    public static ResponseEnvelope Read(ReadOnlySpan<byte> bytes)
    {
        var reader = new ProtoReader(bytes);
        RpcStatus? status = null;
        ReadOnlySpan<byte> payload = default;
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1: status = reader.ReadMessage<RpcStatus>(); break;
                case 2: payload = reader.ReadBytes(); break;
                default: reader.Skip(); break;
            }
        }
        return new ResponseEnvelope { Status = status, Payload = payload };
    }

    public static void Write(ProtoWriter writer, TtrpcCode code, string message) =>
        writer.WriteMessage(1, new RpcStatus { Code = (int)code, Message = message });

    public static void Write<TResponse>(ProtoWriter writer, TResponse response)
        where TResponse : class, IProtoMessage<TResponse> => writer.WriteMessage(2, response);
}
