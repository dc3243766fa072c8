namespace Cnvm.GuestAgent.Storages;

/// <summary>Something that the host wants mounted in the sandbox.</summary>
/// <param name="Driver">What kind it is.</param>
/// <param name="Source">A tag, a PCI path, a device node, a folder: as the driver says.</param>
/// <param name="DriverOptions">What only the driver understands.</param>
/// <param name="Options">Mount options.</param>
/// <param name="GroupId">Group that the files get; null leaves it.</param>
internal sealed record StorageRequest(
    string Driver, string Source, IReadOnlyList<string> DriverOptions, string FileSystem, IReadOnlyList<string> Options, string MountPoint, uint? GroupId);
