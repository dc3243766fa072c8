using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm.Migration;

/// <summary>The files that a guest's disks arrive in, all or none of them. One thread at a time.</summary>
internal sealed class ArrivingDiskSet : IDisposable
{
    private readonly List<ArrivingDisk> _disks = [];
    private readonly Action<string> _onProblem;

    private ArrivingDiskSet(VmConfig config, Action<string> onProblem)
    {
        _onProblem = onProblem;
        Config = config;
        Arriving = config;
    }

    /// <summary>In the order of the offer.</summary>
    public IReadOnlyList<IArrivingDisk> Disks => _disks;

    /// <summary>The configuration with the paths that the disks have in the end.</summary>
    public VmConfig Config { get; private init; }

    /// <summary>The configuration with the paths that the disks have until <see cref="PutInPlace"/>.</summary>
    public VmConfig Arriving { get; private set; }

    /// <summary>The configuration with the disks where they are on this host.</summary>
    /// <param name="areMoving">The disks come along, and may replace files.</param>
    /// <exception cref="MigrationException">A placement is of no disk.</exception>
    public static VmConfig Place(VmConfig config, IReadOnlyList<DiskPlacement> placements, bool areMoving)
    {
        if (areMoving && config.Disks?.FirstOrDefault(d => d.VhostUser) is { } foreign)
        {
            throw new MigrationException($"disk {foreign.Id}: its image is its vhost-user back end's, and does not come along");
        }

        foreach (DiskPlacement placement in placements)
        {
            if (config.Disks?.Any(d => d.Id == placement.Id) != true)
            {
                throw new MigrationException($"disks: the VM has no disk {placement.Id}");
            }

            if (config.Disks.Any(d => d.Id == placement.Id && d.VhostUser))
            {
                throw new MigrationException($"disk {placement.Id}: its image is its vhost-user back end's, and has no path here");
            }

            if (placement.Overwrite && !areMoving)
            {
                throw new MigrationException($"disk {placement.Id}: overwrite was asked for, and the source does not bring its disks along");
            }
        }

        return WithPaths(config, d => placements.FirstOrDefault(p => p.Id == d.Id)?.Path ?? d.Path);
    }

    /// <summary>Makes the files. Nothing is left of them if one cannot be made.</summary>
    /// <param name="config">With the disks where they are to be.</param>
    /// <param name="onProblem">Told what cannot be cleaned up.</param>
    /// <exception cref="MigrationException">A disk cannot arrive here; the message names all that can be known.</exception>
    public static ArrivingDiskSet Create(
        VmConfig config, DiskOffers offers, IReadOnlyList<DiskPlacement> placements, Action<string> onProblem)
    {
        IReadOnlyList<DiskConfig> disks = config.Disks ?? [];
        if (!disks.Select(d => d.Id).SequenceEqual(offers.Disks.Select(o => o.Id)))
        {
            throw new MigrationException("the disks that come along are not those of the configuration");
        }

        List<string> obstacles = [];
        for (int i = 0; i < disks.Count; i++)
        {
            if (Obstacle(disks[i], offers.Disks[i], placements.Any(p => p.Id == disks[i].Id && p.Overwrite)) is { } obstacle)
            {
                obstacles.Add($"disk {disks[i].Id}: {obstacle}");
            }
        }

        foreach (IGrouping<string, DiskConfig> same in disks.GroupBy(d => Path.GetFullPath(d.Path!)).Where(g => g.Count() > 1))
        {
            obstacles.Add($"disks {string.Join(" and ", same.Select(d => d.Id))} would both be {same.Key}");
        }

        foreach (IGrouping<string, int> folder in Enumerable.Range(0, disks.Count).GroupBy(i => ArrivingDisk.FolderOf(disks[i].Path!)))
        {
            ulong needed = folder.Aggregate(0UL, (sum, i) => sum + Math.Min(offers.Disks[i].Data, offers.Disks[i].Size));
            if (Directory.Exists(folder.Key) && Free(folder.Key) is { } free && needed > free)
            {
                obstacles.Add($"disks {string.Join(", ", folder.Select(i => disks[i].Id))}: {needed >> 20} MiB of data, and {folder.Key} has {free >> 20} MiB left");
            }
        }

        if (obstacles.Count > 0)
        {
            throw new MigrationException(string.Join("; ", obstacles));
        }

        var set = new ArrivingDiskSet(config, onProblem);
        try
        {
            string name = Convert.ToHexStringLower(RandomId.Make())[..12];
            for (int i = 0; i < disks.Count; i++)
            {
                set._disks.Add(new ArrivingDisk(disks[i].Id!, disks[i].Path!, offers.Disks[i].Size, name));
                set.ThrowIfBlocksDiffer(disks[i], offers.Disks[i]);
            }

            set.Arriving = WithPaths(config, d => set._disks.Single(a => a.Path == d.Path).ArrivingPath);
            return set;
        }
        catch
        {
            set.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Everything has come. A disk that nobody calls raw must not look like another format now, one that names files of this host.
    /// </summary>
    /// <exception cref="MigrationException">One does.</exception>
    public void ThrowIfNotRaw()
    {
        try
        {
            for (int i = 0; i < _disks.Count; i++)
            {
                DiskConfig disk = Config.Disks![i];
                if (disk.ImageType != ImageType.Raw && DiskImage.Detect(_disks[i].ArrivingPath) != ImageFormat.Raw)
                {
                    throw new MigrationException($"disk {disk.Id}: what has come is not called raw, and looks like an image of another format");
                }
            }
        }
        catch (BlockImageException e)
        {
            throw new MigrationException(e.Message, e);
        }
    }

    /// <summary>The files take their places, and what is there moves aside.</summary>
    /// <exception cref="MigrationException">One cannot. <see cref="Dispose"/> puts everything back.</exception>
    public void PutInPlace() => _disks.ForEach(d => d.PutInPlace());

    /// <summary>The guest runs: the files stay.</summary>
    public void Keep() => ForEach(d => d.Keep());

    /// <summary>Unless they are kept, no file is left, and what was there before is there again.</summary>
    public void Dispose() => ForEach(d => d.Discard());

    private void ForEach(Action<ArrivingDisk> action)
    {
        foreach (ArrivingDisk disk in _disks)
        {
            try
            {
                action(disk);
            }
            catch (MigrationException e)
            {
                _onProblem(e.Message);
            }
        }
    }

    private static VmConfig WithPaths(VmConfig config, Func<DiskConfig, string?> path) =>
        config.Disks is { } disks ? config with { Disks = [.. disks.Select(d => d with { Path = path(d) })] } : config;

    private static string? Obstacle(DiskConfig disk, DiskOffer offer, bool mayOverwrite)
    {
        string path = disk.Path!;
        if (disk.ImageType is not (ImageType.Unknown or ImageType.Raw) || disk.BackingFiles)
        {
            return "a disk that comes along arrives as a raw image, and the configuration says something else";
        }

        var file = new FileInfo(path);
        if (file.LinkTarget is not null)
        {
            return $"{path} is a symbolic link: give the file's own path";
        }

        if (!Directory.Exists(ArrivingDisk.FolderOf(path)))
        {
            return $"there is no directory {ArrivingDisk.FolderOf(path)}: make it, or give another path";
        }

        if (!file.Exists)
        {
            return Directory.Exists(path) ? $"{path} is a directory" : null;
        }

        try
        {
            using var there = new DiskFile(path, readOnly: true, direct: false);
            if (!there.IsRegularFile)
            {
                return $"{path} is no regular file, and disks come along into regular files only: give another path";
            }

            if (there.Size > 0 && !mayOverwrite)
            {
                return $"{path} is there already, with {there.Size} bytes: give another path, or ask for it to be overwritten";
            }

            return there.FindLockHolder() == 0 ? null : $"{path} is in use by another process, and is not replaced (offered are {offer.Size} bytes)";
        }
        catch (LinuxException e)
        {
            return e.Message;
        }
    }

    /// <summary>Direct I/O asks for larger blocks on some file systems than on others, and the guest keeps to what it was told.</summary>
    private void ThrowIfBlocksDiffer(DiskConfig disk, DiskOffer offer)
    {
        if (!disk.Direct)
        {
            return;
        }

        try
        {
            using var image = RawImage.Open(new RawImageOptions { Path = _disks[^1].ArrivingPath, IsDirect = true, IsReadOnly = true });
            if (image.LogicalBlockSize > offer.BlockSize)
            {
                throw new MigrationException(
                    $"disk {disk.Id}: the guest uses blocks of {offer.BlockSize} bytes, and {ArrivingDisk.FolderOf(disk.Path!)} takes no less than "
                    + $"{image.LogicalBlockSize} directly");
            }
        }
        catch (BlockImageException e)
        {
            throw new MigrationException($"disk {disk.Id}: {e.Message}", e);
        }
    }

    private static ulong? Free(string folder)
    {
        try
        {
            return (ulong)new DriveInfo(folder).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // Then the first write that finds no space says so.
            return null;
        }
    }
}
