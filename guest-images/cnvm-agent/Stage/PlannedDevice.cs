namespace Cnvm.GuestAgent.Stage;

/// <summary>A device node of a container.</summary>
/// <param name="Path">In the container.</param>
/// <param name="Mode">Kind (S_IFCHR, S_IFBLK, S_IFIFO) and permissions.</param>
internal sealed record PlannedDevice(string Path, uint Mode, uint Major, uint Minor, uint UserId, uint GroupId);
