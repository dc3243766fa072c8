namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>The qcow2 format (QEMU, docs/interop/qcow2.txt). All numbers on the disk are big-endian.</summary>
internal static class Qcow2Spec
{
    /// <summary>"QFI" and 0xfb.</summary>
    public const uint Magic = 0x514649fb;

    // The header.
    public const int HeaderVersion = 4;
    public const int HeaderBackingOffset = 8;
    public const int HeaderBackingLength = 16;
    public const int HeaderClusterBits = 20;
    public const int HeaderSize = 24;
    public const int HeaderCrypt = 32;
    public const int HeaderL1Entries = 36;
    public const int HeaderL1Offset = 40;
    public const int HeaderRefcountOffset = 48;
    public const int HeaderRefcountClusters = 56;
    public const int HeaderSnapshots = 60;
    public const int HeaderSnapshotOffset = 64;
    public const int HeaderIncompatible = 72;
    public const int HeaderCompatible = 80;
    public const int HeaderAutoclear = 88;
    public const int HeaderRefcountOrder = 96;
    public const int HeaderLength = 100;
    public const int HeaderCompression = 104;
    public const int HeaderBytes2 = 72;
    public const int HeaderBytes3 = 104;

    // Incompatible features.
    public const ulong Dirty = 1;
    public const ulong Corrupt = 2;
    public const ulong ExternalData = 4;
    public const ulong CompressionType = 8;
    public const ulong ExtendedL2 = 16;

    // Header extensions.
    public const uint ExtensionEnd = 0;
    public const uint ExtensionBackingFormat = 0xe2792aca;
    public const uint ExtensionFeatureNames = 0x6803f857;
    public const int FeatureNameBytes = 48;

    // Entries of L1 and L2 tables.
    public const ulong Copied = 1UL << 63;
    public const ulong Compressed = 1UL << 62;
    public const ulong Zero = 1;
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;

    /// <summary>Entries of the refcount table: where the block lies.</summary>
    public const ulong RefcountOffsetMask = ~0x1ffUL;

    public const int MinClusterBits = 9;
    public const int MaxClusterBits = 21;
    public const int MaxRefcountOrder = 6;
    public const int MaxBackingName = 1023;
    public const byte CompressionZlib = 0;
    public const byte CompressionZstd = 1;

    // Snapshot table entries: the fixed part, and what follows it.
    public const int SnapshotBytes = 40;
    public const int SnapshotL1Entries = 8;
    public const int SnapshotIdLength = 12;
    public const int SnapshotNameLength = 14;
    public const int SnapshotExtraLength = 36;
    public const int MaxSnapshots = 65536;
    public const int MaxSnapshotExtra = 1024;

    /// <summary>Of the snapshot table and all snapshots' L1 tables together; a bound of cnvm's own.</summary>
    public const ulong MaxSnapshotClusters = 1024 * 1024;
}
