namespace Cnvm.Ttrpc.Tests;

internal enum Colour
{
    Dark = -1,
    Red = 0,
    Green = 1,
}
