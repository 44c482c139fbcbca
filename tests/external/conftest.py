from tests.fakes.mvs_programs import mvs_programs

__all__ = ["mvs_programs"]
