using System.Text.Json.Nodes;
using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Machine;

namespace Cnvm.Sandbox.Containers;

/// <summary>The disks of a container, which the VMM gets and loses while its guest runs. One call at a time.</summary>
internal sealed class ContainerDisks(VmmApi api, string container)
{
    private const int NameBytes = 6;
    private readonly List<string> _ids = [];

    /// <summary>Gives the guest a disk.</summary>
    /// <returns>What the agent has to mount before the container is made, and what of it the container gets.</returns>
    /// <exception cref="SandboxException">There is no such disk, or the VMM refuses it.</exception>
    public async Task<(Storage Storage, Mount Mount)> AddAsync(ContainerDisk disk, CancellationToken cancellation)
    {
        string path = Path.GetFullPath(disk.HostPath);
        if (!File.Exists(path))
        {
            throw new SandboxException(SandboxErrorKind.NotFound, $"there is no disk {path} for container {container}");
        }

        string id = $"disk-{Convert.ToHexStringLower(KernelRandom.Bytes(NameBytes))}";

        // Before it is there: an answer that is not waited for, or makes no sense, leaves none behind.
        _ids.Add(id);

        // Its format is said and not found out: what a guest writes to the beginning of a disk changes nothing about that.
        string place = await api.PlugAsync(
            "vm.add-disk",
            $$"""{"id":"{{id}}","path":{{JsonValue.Create(path).ToJsonString()}},"readonly":{{(disk.ReadOnly ? "true" : "false")}},"image_type":"Raw"}""",
            cancellation).ConfigureAwait(false);
        string mountPoint = GuestPaths.DiskOf(id);
        return (
            new Storage { Driver = "blk", Source = place, Fstype = disk.FileSystem, MountPoint = mountPoint, Options = disk.ReadOnly ? ["ro"] : [] },
            new Mount { Destination = disk.GuestPath, Source = mountPoint, Type = "bind", Options = ["rbind", disk.ReadOnly ? "ro" : "rw"] });
    }

    /// <summary>Asks the guest, which does not use them any more, to give the disks up.</summary>
    /// <exception cref="SandboxException">The VMM refuses, or has gone.</exception>
    public async Task RemoveAsync(CancellationToken cancellation)
    {
        while (_ids.Count > 0)
        {
            await api.CallAsync("PUT", "vm.remove-device", $$"""{"id":"{{_ids[^1]}}"}""", cancellation).ConfigureAwait(false);
            _ids.RemoveAt(_ids.Count - 1);
        }
    }

    /// <summary>The same after a failure, which is what people hear of.</summary>
    public async Task GiveUpAsync()
    {
        while (_ids.Count > 0)
        {
            try
            {
                await RemoveAsync(CancellationToken.None).ConfigureAwait(false);
            }
            catch (SandboxException)
            {
                // The VMM has gone, and its disks with it; or this one never came. The others are still to go.
                _ids.RemoveAt(_ids.Count - 1);
            }
        }
    }
}
