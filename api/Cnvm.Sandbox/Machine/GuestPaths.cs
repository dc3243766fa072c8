using System.Globalization;

namespace Cnvm.Sandbox.Machine;

/// <summary>Where things are in a guest. The shared folder's place and tag are Kata's.</summary>
internal static class GuestPaths
{
    public const string SharedTag = "kataShared";
    public const string Shared = "/run/kata-containers/shared/containers";
    private const string Folders = "/run/kata-containers/folders";
    private const string Overlays = "/run/kata-containers/overlays";
    private const string Disks = "/run/kata-containers/disks";

    /// <summary>Tag of a folder that the sandbox was started with.</summary>
    public static string TagOf(int folder) => string.Create(CultureInfo.InvariantCulture, $"folder{folder}");

    public static string FolderOf(int folder) => string.Create(CultureInfo.InvariantCulture, $"{Folders}/{folder}");

    public static string DiskOf(string id) => $"{Disks}/{id}";

    /// <summary>Where what a container writes is kept in memory.</summary>
    public static string WritableOf(string container) => $"{Overlays}/{container}/writable";

    /// <summary>Where a container's folder and what it writes are one.</summary>
    public static string OverlayOf(string container) => $"{Overlays}/{container}/rootfs";
}
