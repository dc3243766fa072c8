using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Writes a part of a file in the guest. The answer is <see cref="Empty"/>.</summary>
[ProtoMessage]
public sealed partial record CopyFileRequest
{
    /// <summary>Absolute, in the guest.</summary>
    [ProtoMember(1)]
    public string Path { get; init; } = "";

    /// <summary>Bytes that the whole file will have; it gets its name when they are there.</summary>
    [ProtoMember(2)]
    public long FileSize { get; init; }

    /// <summary>Mode with the file's type: a regular file, a folder or a symbolic link, whose target is the data.</summary>
    [ProtoMember(3)]
    public uint FileMode { get; init; }

    /// <summary>Mode of folders that have to be made above it.</summary>
    [ProtoMember(4)]
    public uint DirMode { get; init; }

    /// <summary>Its owner.</summary>
    [ProtoMember(5)]
    public int Uid { get; init; }

    /// <summary>Its group.</summary>
    [ProtoMember(6)]
    public int Gid { get; init; }

    /// <summary>Where the data belongs, in bytes.</summary>
    [ProtoMember(7)]
    public long Offset { get; init; }

    /// <summary>The data.</summary>
    [ProtoMember(8)]
    public ReadOnlyMemory<byte> Data { get; init; }
}
