namespace Cnvm.Linux;

// Which mount is the root.
public static partial class Mounts
{
    /// <summary>Makes an open folder, which must be a mount, the root of the calling thread's mount namespace; the former root is gone.</summary>
    /// <exception cref="LinuxException">It is no mount, or the root is the kernel's first one.</exception>
    public static void MoveRootTo(int directory)
    {
        LinuxError.Check(fchdir(directory), "enter the new root folder");
        // The old root ends up on top of the new one, from where it is detached: no folder has to be made for it (pivot_root(2)).
        LinuxError.Check(pivot(PivotRoot, ".", "."), "pivot_root");
        LinuxError.Check(umount2(".", MNT_DETACH), "detach the former root");
        LinuxError.Check(chdir("/"), "enter the new root");
    }

    /// <summary>Moves the mount at a folder onto the kernel's first root, and makes it the calling process's root (as switch_root(8) does).</summary>
    /// <exception cref="LinuxException">Nothing is mounted there.</exception>
    public static void SwitchRoot(string folder)
    {
        LinuxError.Check(chdir(folder), $"enter {folder}");
        Mount(".", "/", null, MS_MOVE, null);
        LinuxError.Check(chroot("."), "chroot");
        LinuxError.Check(chdir("/"), "enter the new root");
    }

    /// <summary>Sets the calling thread's working directory.</summary>
    /// <returns>0, or the error number.</returns>
    public static int ChangeDirectory(string path) => chdir(path) == 0 ? 0 : LinuxError.Last;
}
