namespace Cnvm.Vmm.Migration;

/// <summary>A disk that is being filled. It reads as zeros where nothing has been written. Called on the migration's thread.</summary>
internal interface IArrivingDisk
{
    /// <summary>Bytes.</summary>
    ulong Size { get; }

    /// <exception cref="MigrationException">The host has no space left, or another trouble.</exception>
    void Write(ulong offset, ReadOnlySpan<byte> data);

    /// <summary>Makes what was written before read as zeros again.</summary>
    /// <inheritdoc cref="Write"/>
    void Clear(ulong offset, ulong length);

    /// <summary>Brings it to stable storage.</summary>
    /// <inheritdoc cref="Write"/>
    void Flush();
}
