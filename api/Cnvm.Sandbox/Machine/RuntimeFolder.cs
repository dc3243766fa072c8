using System.Globalization;
using Cnvm.Linux;

namespace Cnvm.Sandbox.Machine;

/// <summary>
/// Where this user's sandboxes have their folders: beside the entries of running VMs, <c>$CNVM_RUNTIME_DIR</c>, else <c>$XDG_RUNTIME_DIR/cnvm</c>, else
/// <c>/run/cnvm</c> for root and <c>/tmp/cnvm-UID</c> for others.
/// </summary>
internal static class RuntimeFolder
{
    /// <summary>The folder; it may not exist yet.</summary>
    public static string Root
    {
        get
        {
            if (Environment.GetEnvironmentVariable("CNVM_RUNTIME_DIR") is { } only && Path.IsPathRooted(only))
            {
                return only;
            }

            uint user = PrivateDirectory.UserId;
            return Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { } runtime && Path.IsPathRooted(runtime) && Directory.Exists(runtime)
                ? Path.Combine(runtime, "cnvm")
                : user == 0 ? "/run/cnvm" : string.Create(CultureInfo.InvariantCulture, $"/tmp/cnvm-{user}");
        }
    }

    /// <summary>A folder in it, which is made with those above it if it is missing; nobody but this user can look into it.</summary>
    /// <exception cref="LinuxException">It belongs to somebody else, or cannot be made.</exception>
    public static string Ensure(string name)
    {
        string folder = Path.Combine(Root, name);
        PrivateDirectory.Open(Root, create: true)!.Dispose();
        PrivateDirectory.Open(folder, create: true)!.Dispose();
        return folder;
    }
}
