namespace Cnvm.Sandbox.Images;

/// <summary>The header of a member of a tar archive (POSIX.1-2017 pax, and GNU's long names). Names are bytes as Latin-1 characters.</summary>
internal sealed record TarEntry
{
    public const char File = '0';
    public const char HardLink = '1';
    public const char SymbolicLink = '2';
    public const char CharacterDevice = '3';
    public const char BlockDevice = '4';
    public const char Directory = '5';
    public const char Fifo = '6';

    public required string Name { get; init; }

    public string LinkName { get; init; } = "";

    /// <summary>One of the constants, or something that is not known here.</summary>
    public required char Type { get; init; }

    /// <summary>Bytes of data.</summary>
    public required long Size { get; init; }

    /// <summary>The twelve bits of chmod(1).</summary>
    public uint Mode { get; init; }

    public uint User { get; init; }

    public uint Group { get; init; }

    public DateTimeOffset Modified { get; init; }

    public uint DeviceMajor { get; init; }

    public uint DeviceMinor { get; init; }

    /// <summary>Extended attributes (SCHILY.xattr. of star and GNU tar).</summary>
    public IReadOnlyDictionary<string, byte[]> Attributes { get; init; } = new Dictionary<string, byte[]>();

    /// <summary>Where the data begins, counted from where reading began.</summary>
    public long Offset { get; init; }
}
