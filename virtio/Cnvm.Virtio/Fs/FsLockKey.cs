namespace Cnvm.Virtio.Fs;

/// <summary>Whose locks of which file.</summary>
/// <param name="Node">The file's number.</param>
/// <param name="Owner">The guest kernel's name for whom locks belong to.</param>
internal readonly record struct FsLockKey(ulong Node, ulong Owner);
