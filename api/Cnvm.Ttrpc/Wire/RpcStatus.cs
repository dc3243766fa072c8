namespace Cnvm.Ttrpc.Wire;

/// <summary><c>google.rpc.Status</c>.</summary>
[ProtoMessage]
internal sealed partial record RpcStatus
{
    [ProtoMember(1)]
    public int Code { get; init; }

    [ProtoMember(2)]
    public string Message { get; init; } = "";

    /// <summary>The code as one of the known ones.</summary>
    public TtrpcCode TtrpcCode => Enum.IsDefined((TtrpcCode)Code) ? (TtrpcCode)Code : TtrpcCode.Unknown;
}
