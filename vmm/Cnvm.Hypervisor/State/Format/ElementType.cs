namespace Cnvm.Hypervisor.State.Format;

/// <summary>What the payload of a state element is (FORMAT.md, "Types"). Numbers never change their meaning.</summary>
public enum ElementType : byte
{
    /// <summary>One byte, 0 or 1.</summary>
    Bool = 1,
    U8 = 2,
    U16 = 3,
    U32 = 4,
    U64 = 5,

    /// <summary>Two's complement.</summary>
    I64 = 6,

    /// <summary>UTF-8.</summary>
    Text = 7,
    Bytes = 8,

    /// <summary>Unsigned 64-bit numbers, one after the other.</summary>
    U64List = 9,

    /// <summary>Elements, one after the other.</summary>
    Record = 10,

    /// <summary>A count, then each record with its length before it.</summary>
    RecordList = 11,
}
