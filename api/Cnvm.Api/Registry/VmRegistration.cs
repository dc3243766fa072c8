using Cnvm.Linux;

namespace Cnvm.Api.Registry;

/// <summary>This process's entry among the running VMMs, until it is disposed.</summary>
public sealed class VmRegistration : IDisposable
{
    private readonly string _folder;
    private readonly OwnedFile _file;

    internal VmRegistration(string name, string folder, OwnedFile file)
    {
        Name = name;
        _folder = folder;
        _file = file;
    }

    /// <summary>The name that the VM was given, or was made for it.</summary>
    public string Name { get; }

    public void Dispose()
    {
        try
        {
            // Under the directory's lock, so that nobody sees the file removed and still locked.
            using PrivateDirectory? directory = PrivateDirectory.Open(_folder, create: false);
            VmRegistry.RemoveIfEmpty(Path.Combine(_folder, Name + ".log"));
            _file.Dispose();
        }
        catch (IOException)
        {
            // The directory is gone or was closed to us: the file goes without its lock.
            _file.Dispose();
        }
    }
}
