namespace Cnvm.Virtio.Fs;

/// <summary>What makes a file the same one under all of its names, as long as somebody holds it.</summary>
internal readonly record struct FileIdentity(ulong Device, ulong Inode);
