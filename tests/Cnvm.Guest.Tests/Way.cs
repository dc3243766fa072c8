namespace Cnvm.Guest.Tests;

/// <summary>How a guest gets from one process to the next.</summary>
/// <param name="Name">As the table of moves names it.</param>
/// <param name="StaysOnHost">Both processes see the same files and can hand descriptors to each other.</param>
/// <param name="Move">Moves it; the process that it leaves is there until it is disposed.</param>
internal sealed record Way(string Name, bool StaysOnHost, Func<GuestVm, Task<GuestVm>> Move);
