using Cnvm.Linux;
using Cnvm.Sandbox;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Sandboxes;

/// <summary>Sandboxes that are virtual machines.</summary>
internal sealed class SandboxFactory(ILogger logger) : ISandboxFactory
{
    public async Task<ISandbox> StartAsync(SandboxSettings settings, CancellationToken cancellation)
    {
        // As the list of running machines makes it, which is there as well.
        string parent = Path.GetDirectoryName(settings.Directory)!;
        if (!Directory.Exists(parent))
        {
            PrivateDirectory.Open(parent, create: true)?.Dispose();
        }

        var options = new SandboxOptions
        {
            Name = settings.Name,
            VmmPath = settings.Vmm,
            Kernel = settings.Kernel ?? GuestImages.Find(GuestImages.Kernel),
            Initramfs = settings.Initramfs ?? GuestImages.Find(GuestImages.Initramfs),
            KernelArguments = settings.CommandLine,
            Cpus = settings.Cpus,
            MemoryBytes = (long)settings.Memory,
            Hostname = settings.HostName.Length > 0 ? settings.HostName : null,
            NetworkNamespace = settings.NetworkNamespace,
            Network = SandboxNetwork.Namespace,
            Folder = settings.Directory,
            Template = settings.RestoreFrom,
        };
        if (settings.RestoreFrom is null)
        {
            if (settings.Templates is not null)
            {
                options = options with { Template = await new TemplateStore(settings.Templates).OpenAsync(options, cancellation) };
            }

            return new VmSandbox(await SandboxVm.StartAsync(options, cancellation), null, EntryOf(settings.Directory, settings.Name), logger);
        }

        (SandboxVm vm, Container first) = await SandboxVm.RestoreAsync(
            options, VmSandbox.SavedContainer(settings.RestoreFrom), settings.First.Spec, VmSandbox.RootOf(settings.First), cancellation);
        return new VmSandbox(vm, first, EntryOf(settings.Directory, settings.Name), logger);
    }

    public void CleanUp(string directory, string name)
    {
        SandboxVm.CleanUp(directory);
        File.Delete(EntryOf(directory, name));
    }

    /// <summary>What a VMM that was killed leaves in the list of running machines.</summary>
    private static string EntryOf(string directory, string name) => Path.Combine(Path.GetDirectoryName(directory)!, name + ".json");
}
