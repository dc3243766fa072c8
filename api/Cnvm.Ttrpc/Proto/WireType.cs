namespace Cnvm.Ttrpc;

/// <summary>How a field's value lies in the bytes: the low three bits of its tag.</summary>
public enum WireType
{
    /// <summary>Seven bits a byte, the lowest first.</summary>
    Varint = 0,

    /// <summary>Eight bytes, little-endian.</summary>
    Fixed64 = 1,

    /// <summary>A length and that many bytes: strings, bytes, messages, packed numbers.</summary>
    LengthDelimited = 2,

    /// <summary>The start of a group; only skipped.</summary>
    StartGroup = 3,

    /// <summary>The end of a group; only skipped.</summary>
    EndGroup = 4,

    /// <summary>Four bytes, little-endian.</summary>
    Fixed32 = 5,
}
