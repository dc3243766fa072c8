namespace Cnvm.Ttrpc;

/// <summary><c>google.protobuf.Empty</c>: nothing.</summary>
[ProtoMessage]
public sealed partial record Empty
{
    /// <summary>The one that serves all.</summary>
    public static Empty Instance { get; } = new();
}
