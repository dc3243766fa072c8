using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Containers;
using Cnvm.Sandbox.Oci;
using Cnvm.Ttrpc;

namespace Cnvm.Sandbox;

// Containers.
public sealed partial class SandboxVm
{
    private const int MaxContainerName = 128;

    /// <summary>Makes a container, which <see cref="Container.StartAsync"/> starts.</summary>
    /// <param name="id">Its name in the sandbox: letters, digits, dots, dashes and underscores.</param>
    /// <param name="options">What it is.</param>
    /// <param name="cancellation">Gives the call up.</param>
    /// <exception cref="SandboxException">It cannot be made, and nothing is left of it, or the sandbox has ended.</exception>
    public Task<Container> CreateContainerAsync(string id, ContainerOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        return CreateAsync(id, SpecDefaults.Make(options), options.Rootfs, options.Volumes, options.Disks, cancellation);
    }

    /// <summary>Makes a container from an OCI bundle's configuration. Namespaces that name a path of the host are the guest's own; mounts that name a file or folder of the host bring it along.</summary>
    /// <param name="id">Its name in the sandbox: letters, digits, dots, dashes and underscores.</param>
    /// <param name="configJson">The bundle's <c>config.json</c> (OCI runtime specification).</param>
    /// <param name="rootfs">Its root file system; what the configuration says of one does not count.</param>
    /// <param name="cancellation">Gives the call up.</param>
    /// <exception cref="SandboxException">It cannot be made, and nothing is left of it, or the sandbox has ended.</exception>
    public Task<Container> CreateContainerAsync(
        string id, ReadOnlyMemory<byte> configJson, ContainerRootfs rootfs, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(rootfs);
        return CreateAsync(id, SpecReader.Read(configJson), rootfs, [], [], cancellation);
    }

    /// <summary>
    /// A container that is there already, by whoever made it: of a sandbox that was attached to, perhaps because its VM has come here from another
    /// host. Nothing is asked of the guest; a container that is not there is found missing by the first call. Disks of its own stay the sandbox's when it
    /// is removed.
    /// </summary>
    /// <param name="id">Its name in the sandbox.</param>
    /// <param name="rootfs">Its root file system on the host, where users are looked up.</param>
    /// <param name="first">What further processes take over from the first one: variables, user, folder.</param>
    public Container OpenContainer(string id, string rootfs, ProcessOptions first) => new(
        _agent, id, new ContainerPlace(_options, _folder, id), SpecDefaults.FirstProcess(first, rootfs), rootfs);

    private async Task<Container> CreateAsync(
        string id, Spec spec, ContainerRootfs rootfs, IReadOnlyList<ContainerVolume> volumes, IReadOnlyList<ContainerDisk> disks, CancellationToken cancellation)
    {
        if (id.Length is 0 or > MaxContainerName || !char.IsAsciiLetterOrDigit(id[0]) || !id.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_'))
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid, $"'{id}' is no name for a container: it has 1 to {MaxContainerName} letters, digits, dots, dashes and underscores");
        }

        if (spec.Process is not { } process)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, "the container's configuration has no process");
        }

        var place = new ContainerPlace(_options, _folder, id);
        place.Claim();
        var plugged = new ContainerDisks(_api, id);
        try
        {
            string root = place.AddRootfs(rootfs);
            Spec inGuest = GuestSpec.Of(spec, root, rootfs.Access == RootfsAccess.ReadOnly, place, id, volumes);
            foreach (ContainerDisk disk in disks)
            {
                (Storage storage, Mount mount) = await plugged.AddAsync(disk, cancellation).ConfigureAwait(false);
                place.Storages.Add(storage);
                inGuest = inGuest with { Mounts = [.. inGuest.Mounts, mount] };
            }

            await _agent.CallAsync<CreateContainerRequest, Empty>(
                AgentService.CreateContainer,
                new CreateContainerRequest { ContainerId = id, ExecId = id, Storages = place.Storages, Oci = inGuest },
                cancellation).ConfigureAwait(false);
            return new Container(_agent, id, place, process, rootfs.Path, plugged);
        }
        catch
        {
            await plugged.GiveUpAsync().ConfigureAwait(false);
            place.Remove();
            throw;
        }
    }
}
